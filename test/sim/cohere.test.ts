/** The simulated Cohere, asked by Cohere's own client. */
import { CohereClientV2, CohereError } from "cohere-ai";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type SimServer, startSim } from "../../src/sim/server/start-sim.ts";
import { records, script, send } from "./sim-client.ts";

let sim: SimServer;
let client: CohereClientV2;
beforeAll(async () => {
  sim = await startSim({ port: 0 });
  client = new CohereClientV2({ token: "co-test-0001", environment: sim.url, maxRetries: 0 });
});
afterAll(() => sim.close());
beforeEach(() => sim.clear());

const user = (content: string) => ({ role: "user" as const, content });
const weather = {
  type: "function" as const,
  function: { name: "weather", description: "Looks", parameters: { type: "object", properties: { city: { type: "string" } } } },
};
const talk = {
  steps: [
    { reasoning: "They want the weather." },
    { text: "Bern is sunny.", citations: [{ url: "https://example.com/w", title: "Weather", start: 0, end: 4 }] },
    { tool_call: { name: "weather", arguments: { city: "Bern" }, id: "call_1" } },
  ],
  usage: { input_tokens: 90, output_tokens: 33, cache_read_tokens: 60 },
};

describe("the real client", () => {
  test("chat: thinking, text, citations, calls and counts", async () => {
    const answer = await client.chat({ model: "command-a", messages: [user(script(talk))], tools: [weather] });
    expect(answer).toMatchObject({
      finishReason: "TOOL_CALL",
      message: {
        role: "assistant",
        content: [
          { type: "thinking", thinking: "They want the weather." },
          { type: "text", text: "Bern is sunny." },
        ],
        toolCalls: [{ id: "call_1", type: "function", function: { name: "weather", arguments: '{"city":"Bern"}' } }],
        citations: [{ start: 0, end: 4, text: "Bern", contentIndex: 1, sources: [{ type: "document", id: "doc:0" }] }],
      },
      usage: { tokens: { inputTokens: 90, outputTokens: 33 }, billedUnits: { inputTokens: 90, outputTokens: 33 }, cachedTokens: 60 },
    });
    expect(sim.bill()).toMatchObject([{ format: "cohere-chat", inputTokens: 90, outputTokens: 33, completed: true }]);
  });

  test("chatStream: the same in pieces", async () => {
    const stream = await client.chatStream({ model: "command-a", messages: [user(script(talk))], tools: [weather] });
    const seen: string[] = [];
    let [thinking, text, args] = ["", "", ""];
    let end: unknown;
    for await (const event of stream) {
      if (seen.at(-1) !== event.type) seen.push(event.type);
      if (event.type === "content-delta") {
        thinking += event.delta?.message?.content?.thinking ?? "";
        text += event.delta?.message?.content?.text ?? "";
      }
      if (event.type === "tool-call-delta") args += event.delta?.message?.toolCalls?.function?.arguments ?? "";
      if (event.type === "tool-call-start")
        expect(event.delta?.message?.toolCalls).toMatchObject({ id: "call_1", function: { name: "weather" } });
      if (event.type === "message-end") end = event.delta;
    }
    expect({ thinking, text, args }).toEqual({ thinking: "They want the weather.", text: "Bern is sunny.", args: '{"city":"Bern"}' });
    expect(seen).toEqual([
      "message-start",
      "content-start",
      "content-delta",
      "content-end",
      "content-start",
      "content-delta",
      "citation-start",
      "citation-end",
      "content-end",
      "tool-call-start",
      "tool-call-delta",
      "tool-call-end",
      "message-end",
    ]);
    expect(end).toMatchObject({ finishReason: "TOOL_CALL", usage: { tokens: { inputTokens: 90, outputTokens: 33 } } });
  });

  test("models that plan say it beside their calls", async () => {
    const answer = await client.chat({ model: "command-r", messages: [user(script(talk))], tools: [weather] });
    expect(answer.message).toMatchObject({ toolPlan: "They want the weather.", content: [{ type: "text" }] });
    const stream = await client.chatStream({ model: "command-r", messages: [user(script(talk))], tools: [weather] });
    let plan = "";
    for await (const event of stream) if (event.type === "tool-plan-delta") plan += event.delta?.message?.toolPlan ?? "";
    expect(plan).toBe("They want the weather.");
  });

  test("a tool's result, JSON by a schema, log probabilities", async () => {
    const { message } = await client.chat({ model: "m", messages: [user(script(talk))], tools: [weather] });
    const answered = await client.chat({
      model: "m",
      tools: [weather],
      messages: [
        user(script(talk)),
        { role: "assistant", toolCalls: message.toolCalls ?? [], content: "Bern is sunny." },
        { role: "tool", toolCallId: "call_1", content: [{ type: "document", document: { data: { weather: "sun" } } }] },
      ],
    });
    expect(answered.message.content).toEqual([{ type: "text", text: '{"weather":"sun"}' }]);
    const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
    const json = await client.chat({
      model: "m",
      messages: [user("json please")],
      responseFormat: { type: "json_object", jsonSchema: schema },
      logprobs: true,
    });
    const [content] = json.message.content ?? [];
    expect(content?.type === "text" ? JSON.parse(content.text) : undefined).toMatchObject({ city: expect.any(String) });
    expect(json.logprobs?.[0]).toMatchObject({ text: expect.any(String), tokenIds: [expect.any(Number)] });
  });

  test("embed: every type, and inputs of parts", async () => {
    const answer = await client.embed({
      model: "embed-v4.0",
      texts: ["one", "two"],
      inputType: "search_query",
      embeddingTypes: ["float", "int8", "ubinary", "base64"],
      outputDimension: 256,
    });
    expect(answer.embeddings.float?.map((vector) => vector.length)).toEqual([256, 256]);
    expect(answer.embeddings.int8?.[0]).toHaveLength(256);
    expect(answer.embeddings.ubinary?.[0]).toHaveLength(32);
    expect(answer.embeddings.base64?.[0]).toEqual(expect.any(String));
    expect(answer.meta?.billedUnits?.inputTokens).toBe(2);
    const parts = await client.embed({
      model: "embed-v4.0",
      inputs: [
        {
          content: [
            { type: "text", text: "one" },
            { type: "image_url", imageUrl: { url: "data:image/png;base64,AA==" } },
          ],
        },
      ],
      inputType: "image",
      embeddingTypes: ["float"],
    });
    expect(parts.embeddings.float).toHaveLength(1);
  });

  test("lists models page by page", async () => {
    const first = await client.models.list({ pageSize: 2 });
    expect(first.models).toMatchObject([{ name: "sim-echo", endpoints: ["chat"] }, { name: "sim-script" }]);
    const second = await client.models.list({ pageSize: 2, pageToken: first.nextPageToken ?? "" });
    expect(second.models[0]?.name).toBe("sim-lenient");
  });
});

describe("refuses what the vendor refuses", () => {
  const call = { role: "assistant", tool_calls: [{ id: "a", type: "function", function: { name: "weather", arguments: "{}" } }] };
  const tools = [weather];
  test.each<[string, object, number, RegExp]>([
    ["unknown fields", { top_p: 1 }, 422, /unknown field: parameter 'top_p'/],
    ["p out of range", { p: 1 }, 400, /p must be between 0.01 and 0.99/],
    ["k out of range", { k: 501 }, 400, /k must be between/],
    ["six stop texts", { stop_sequences: ["1", "2", "3", "4", "5", "6"] }, 400, /stop_sequences must have at most 5/],
    ["a choice without tools", { tool_choice: "REQUIRED" }, 400, /tool_choice may only/],
    ["a choice of other words", { tools, tool_choice: "auto" }, 400, /must be one of REQUIRED, NONE/],
    ["JSON mode with tools", { tools, response_format: { type: "json_object" } }, 400, /cannot specify both/],
    ["JSON mode with documents", { documents: ["a"], response_format: { type: "json_object" } }, 400, /cannot specify both/],
    [
      "a name with a dash",
      { tools: [{ type: "function", function: { name: "a-b", parameters: {} } }] },
      400,
      /letters, numbers and underscores/,
    ],
    ["no budget for thinking", { thinking: { type: "enabled", token_budget: 0 } }, 400, /token_budget/],
    [
      "an assistant last",
      {
        messages: [
          { role: "user", content: "a" },
          { role: "assistant", content: "b" },
        ],
      },
      400,
      /last message/,
    ],
    ["only instructions", { messages: [{ role: "system", content: "a" }] }, 400, /message of the user/],
    ["empty text", { messages: [{ role: "user", content: "" }] }, 400, /content must have at least 1/],
    [
      "a call without result",
      { messages: [{ role: "user", content: "a" }, call, { role: "user", content: "b" }] },
      400,
      /has no tool result/,
    ],
    ["a result without call", { messages: [{ role: "tool", tool_call_id: "x", content: "b" }] }, 400, /does not match a tool call/],
  ])("%s", async (_, rest, status, message) => {
    const response = await send(sim, "/v2/chat", { model: "m", messages: [{ role: "user", content: "hi" }], ...rest });
    expect(await response.json()).toEqual({ id: expect.any(String), message: expect.stringMatching(message) });
    expect(response.status).toBe(status);
  });

  test("keys and models that it does not know", async () => {
    const stranger = new CohereClientV2({ token: "bad-key", environment: sim.url, maxRetries: 0 });
    const refused = await stranger.chat({ model: "m", messages: [user("hi")] }).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(CohereError);
    expect(refused).toMatchObject({ statusCode: 401 });
    await expect(client.chat({ model: "sim-missing", messages: [user("hi")] })).rejects.toMatchObject({ statusCode: 404 });
    const embed = { model: "m", input_type: "search_query", texts: Array.from({ length: 97 }, () => "a") };
    expect((await send(sim, "/v2/embed", embed)).status).toBe(400);
    expect((await send(sim, "/v2/embed", { model: "m", texts: ["a"] })).status).toBe(400);
  });
});

describe("fails as the vendor fails", () => {
  const ask = (steps: object[], stream: boolean) =>
    send(sim, "/v2/chat", { model: "m", stream, messages: [{ role: "user", content: script({ steps }) }] });

  test.each([true, false])("before the first byte (stream %s)", async (stream) => {
    for (const [fault, status] of [
      ["rate_limit", 429],
      ["quota", 402],
      ["status_500", 500],
      ["status_503", 503],
    ] as const) {
      const response = await ask([{ fault }], stream);
      expect(response.status).toBe(status);
      expect(await response.json()).toEqual({ id: expect.any(String), message: expect.any(String) });
    }
  });

  test("inside the stream: the end says that it failed", async () => {
    const seen = records(await (await ask([{ text: "before" }, { fault: "error_event" }], true)).text()) as {
      type: string;
      delta?: object;
    }[];
    expect(seen.at(-1)).toMatchObject({ type: "message-end", delta: { finish_reason: "ERROR", error: expect.any(String) } });
  });

  test("without an end; and faults of bytes that leave the end in place", async () => {
    const text = await (await ask([{ text: "before" }, { fault: "no_end" }], true)).text();
    expect(text).toContain("event: message-start");
    expect(text).not.toContain("message-end");
    for (const fault of ["unknown_event", "ping_flood", "cr", "crlf_split", "bom", "usage_absent", "double_end", "data_after_end"]) {
      const response = await ask([fault === "ping_flood" ? { fault, count: 3 } : { fault }, { text: "x" }], true);
      expect(await response.text()).toContain("message-end");
    }
  });
});
