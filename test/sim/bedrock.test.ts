/** The simulated Bedrock, asked by AWS's own client. */
import {
  BedrockRuntimeClient,
  type ContentBlock,
  ConverseCommand,
  type ConverseCommandInput,
  ConverseStreamCommand,
  type ConverseStreamOutput,
  CountTokensCommand,
} from "@aws-sdk/client-bedrock-runtime";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { simAccessKey } from "../../src/sim/server/bedrock/signature-v4.ts";
import { type SimServer, startSim } from "../../src/sim/server/start-sim.ts";
import { script } from "./sim-client.ts";

let sim: SimServer;
let client: BedrockRuntimeClient;
beforeAll(async () => {
  sim = await startSim({ port: 0 });
  client = clientWith(simAccessKey);
});
afterAll(async () => {
  client.destroy();
  await sim.close();
});
beforeEach(() => sim.clear());

function clientWith(credentials: { accessKeyId: string; secretAccessKey: string; sessionToken?: string }): BedrockRuntimeClient {
  // By itself the client speaks HTTP/2, which the simulator does not.
  const requestHandler = new NodeHttpHandler();
  return new BedrockRuntimeClient({ region: "eu-central-1", endpoint: sim.url, credentials, maxAttempts: 1, requestHandler });
}

function user(...content: (string | ContentBlock)[]): { role: "user"; content: ContentBlock[] } {
  return { role: "user", content: content.map((block) => (typeof block === "string" ? { text: block } : block)) };
}

async function stream(input: ConverseCommandInput): Promise<ConverseStreamOutput[]> {
  const { stream: events } = await client.send(new ConverseStreamCommand(input));
  const all: ConverseStreamOutput[] = [];
  for await (const event of events ?? []) all.push(event);
  return all;
}

function ask(input: Partial<ConverseCommandInput> & Pick<ConverseCommandInput, "messages">) {
  return client.send(new ConverseCommand({ modelId: "sim-any", ...input }));
}

const weather = { toolSpec: { name: "weather", inputSchema: { json: { type: "object", properties: {} } } } };
const calling = script({
  turns: [
    {
      steps: [
        { reasoning: "They want two things." },
        { text: "Let me look: Zürich 🏔." },
        {
          parallel: [
            { tool_call: { name: "weather", arguments: { city: "Zürich" }, id: "t1" } },
            { tool_call: { name: "weather", id: "t2" } },
          ],
        },
      ],
      usage: { input_tokens: 90, output_tokens: 33, cache_read_tokens: 60, cache_write_tokens: 10 },
    },
    { steps: [{ text: "Sunny." }] },
  ],
});

describe("the AWS client", () => {
  test("gets an answer, and its usage", async () => {
    const { output, stopReason, usage, metrics } = await ask({ messages: [user("Grüße aus 東京")] });
    expect(output?.message).toEqual({ role: "assistant", content: [{ text: "Grüße aus 東京" }] });
    expect(stopReason).toBe("end_turn");
    expect(usage).toMatchObject({ inputTokens: 7, outputTokens: 3, totalTokens: 10 });
    expect(metrics?.latencyMs).toBeGreaterThan(0);
    expect(sim.bill()).toMatchObject([{ format: "bedrock-converse", model: "sim-any", completed: true }]);
  });

  test("holds a conversation with reasoning and parallel calls, streamed", async () => {
    const toolConfig = { tools: [weather] };
    const events = await stream({ modelId: "sim-script", messages: [user(calling)], toolConfig });
    expect(Object.keys(events[0] ?? {})).toEqual(["messageStart"]);
    expect(events.at(-2)).toEqual({ messageStop: { stopReason: "tool_use" } });
    expect(events.at(-1)?.metadata?.usage).toMatchObject({
      inputTokens: 20,
      outputTokens: 33,
      cacheReadInputTokens: 60,
      cacheWriteInputTokens: 10,
    });
    const deltas = events.flatMap(({ contentBlockDelta }) => contentBlockDelta ?? []);
    const of = (index: number) => deltas.filter(({ contentBlockIndex }) => contentBlockIndex === index).map(({ delta }) => delta);
    const reasoning = of(0).map((delta) => delta?.reasoningContent);
    const signature = reasoning.at(-1)?.signature ?? "";
    const text = reasoning.map((piece) => piece?.text ?? "").join("");
    expect(text).toBe("They want two things.");
    expect(
      of(1)
        .map((delta) => delta?.text)
        .join(""),
    ).toBe("Let me look: Zürich 🏔.");
    expect(
      of(2)
        .map((delta) => delta?.toolUse?.input)
        .join(""),
    ).toBe('{"city":"Zürich"}');
    const starts = events.flatMap(({ contentBlockStart }) => contentBlockStart ?? []);
    expect(starts).toEqual([
      { contentBlockIndex: 2, start: { toolUse: { toolUseId: "t1", name: "weather" } } },
      { contentBlockIndex: 3, start: { toolUse: { toolUseId: "t2", name: "weather" } } },
    ]);

    const assistant = (shown: string) => ({
      role: "assistant" as const,
      content: [
        { reasoningContent: { reasoningText: { text: shown, signature } } },
        { text: "Let me look." },
        { toolUse: { toolUseId: "t1", name: "weather", input: { city: "Zürich" } } },
        { toolUse: { toolUseId: "t2", name: "weather", input: {} } },
      ],
    });
    const results = user(
      { toolResult: { toolUseId: "t1", content: [{ json: { sky: "blue" } }] } },
      { toolResult: { toolUseId: "t2", content: [{ text: "no" }], status: "error" } },
    );
    const next = await client.send(
      new ConverseCommand({ modelId: "sim-script", messages: [user(calling), assistant(text), results], toolConfig }),
    );
    expect(next.output?.message?.content).toEqual([{ text: "Sunny." }]);
    const changed = client.send(
      new ConverseCommand({ modelId: "sim-script", messages: [user(calling), assistant("x"), results], toolConfig }),
    );
    await expect(changed).rejects.toMatchObject({ name: "ValidationException", message: expect.stringContaining("Invalid `signature`") });
  });

  test("sends ARNs, and counts tokens", async () => {
    const modelId = "arn:aws:bedrock:eu-central-1:1234:inference-profile/eu.anthropic.claude-sonnet-4-5-20250929-v1:0";
    expect((await ask({ modelId, messages: [user("hello")] })).output?.message?.content).toEqual([{ text: "hello" }]);
    expect(sim.bill()).toMatchObject([{ model: modelId }]);
    const input = { converse: { messages: [user("12345678")] } };
    expect((await client.send(new CountTokensCommand({ modelId: "m", input }))).inputTokens).toBe(6);
  });

  test("is known by its signature, or by an API key", async () => {
    const wrong = clientWith({ ...simAccessKey, secretAccessKey: "another" });
    const messages = [user("hi")];
    await expect(wrong.send(new ConverseCommand({ modelId: "m", messages }))).rejects.toMatchObject({
      name: "InvalidSignatureException",
      $metadata: { httpStatusCode: 403 },
    });
    const unknown = clientWith({ accessKeyId: "AKIAUNKNOWN000000000", secretAccessKey: "x" });
    await expect(unknown.send(new ConverseCommand({ modelId: "m", messages }))).rejects.toMatchObject({
      name: "UnrecognizedClientException",
    });
    const temporary = clientWith({ ...simAccessKey, sessionToken: "a-session-token" });
    expect((await temporary.send(new ConverseCommand({ modelId: "m", messages }))).stopReason).toBe("end_turn");
    expect(sim.requests().at(-1)?.headers["x-amz-security-token"]).toBe("***oken");
    const post = (authorization: string) =>
      fetch(`${sim.url}/model/m/converse`, { method: "POST", headers: { authorization }, body: JSON.stringify({ messages }) });
    expect((await post("Bearer some-api-key")).status).toBe(200);
    expect((await post("Bearer some-bad-key")).status).toBe(403);
    expect((await post("")).headers.get("x-amzn-errortype")).toMatch(/^MissingAuthenticationTokenException:/);
    for (const one of [wrong, unknown, temporary]) one.destroy();
  });

  test("sees failures as exceptions, before the stream and in it", async () => {
    await expect(ask({ modelId: "sim-status-429", messages: [user("hi")] })).rejects.toMatchObject({ name: "ThrottlingException" });
    await expect(ask({ modelId: "sim-missing", messages: [user("hi")] })).rejects.toMatchObject({ name: "ResourceNotFoundException" });
    await expect(stream({ modelId: "sim-fault-error-event", messages: [user("hi there")] })).rejects.toMatchObject({
      name: "InternalServerException",
    });
    // What the client does not know it passes over.
    const passed = await stream({ modelId: "sim-fault-unknown-event", messages: [user("hi there")] });
    expect(passed.map(({ contentBlockDelta }) => contentBlockDelta?.delta?.text ?? "").join("")).toBe("hi there");
  });
});

describe("what the service refuses", () => {
  const call = { role: "assistant" as const, content: [{ toolUse: { toolUseId: "a", name: "weather", input: {} } }] };
  const answer = user({ toolResult: { toolUseId: "a", content: [{ text: "x" }] } });
  const document = (name: string) => ({ document: { name, format: "txt" as const, source: { bytes: Buffer.from("x") } } });
  const point = { cachePoint: { type: "default" as const } };
  const tools = { toolConfig: { tools: [weather] } };

  test.each<[string, Partial<ConverseCommandInput> & Pick<ConverseCommandInput, "messages">, string]>([
    ["two user messages", { messages: [user("a"), user("b")] }, "must alternate"],
    ["an assistant first", { messages: [{ role: "assistant", content: [{ text: "a" }] }] }, "must start with a user message"],
    ["blank text", { messages: [user(" ")] }, "messages.0.content.0 is blank"],
    ["no content", { messages: [user()] }, "is empty"],
    ["calls without tools", { messages: [user("q"), call, answer] }, "toolConfig field must be defined"],
    ["a call without a result", { messages: [user("q"), call, user("no")], ...tools }, "Expected toolResult blocks"],
    ["a result without a call", { messages: [user("q", ...answer.content)], ...tools }, "exceeds the number of toolUse"],
    ["a document alone", { messages: [user(document("a"))] }, "a text block must stand beside"],
    ["two documents of one name", { messages: [user("q", document("a"), document("a"))] }, "duplicate document names"],
    ["an extension", { messages: [user("q", document("a.txt"))] }, "document file name"],
    [
      "five cache points",
      { messages: [user("a", point, "b", point, "c", point, "d", point, "e", point)] },
      "maximum number of cache points",
    ],
    [
      "an illegal id",
      { messages: [user("q"), { role: "assistant", content: [{ toolUse: { toolUseId: "a:b", name: "f", input: {} } }] }] },
      "[a-zA-Z0-9_-]+",
    ],
    ["a temperature of 2", { messages: [user("q")], inferenceConfig: { temperature: 2 } }, "less than or equal to 1"],
    [
      "a schema that is no JSON",
      { messages: [user("q")], outputConfig: { textFormat: { type: "json_schema", structure: { jsonSchema: { schema: "{" } } } } },
      "not valid JSON",
    ],
  ])("%s", async (_, input, message) => {
    await expect(ask(input)).rejects.toMatchObject({ name: "ValidationException", message: expect.stringContaining(message) });
  });

  test("unknown fields, at any depth", async () => {
    const post = async (body: object, model = "m") => {
      const headers = { authorization: "Bearer some-api-key", "content-type": "application/json" };
      return (await fetch(`${sim.url}/model/${model}/converse`, { method: "POST", headers, body: JSON.stringify(body) })).json();
    };
    const messages = [user("q")];
    expect(await post({ messages, extra: 1 })).toEqual({ message: expect.stringContaining("#: extraneous key [extra] is not permitted") });
    expect(await post({ messages: [{ ...messages[0], extra: 1 }] })).toEqual({
      message: expect.stringContaining("#/messages/0: extraneous key [extra]"),
    });
    expect(await post({ messages, extra: 1 }, "lenient")).toMatchObject({ extra: 1, stopReason: "end_turn" });
  });
});
