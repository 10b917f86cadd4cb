/** N23: the official Anthropic SDK, told nothing but the base URL, in front of every kind of upstream and of none. */
import Anthropic from "@anthropic-ai/sdk";
import { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Gateway, startGateway } from "./gateway.ts";

const key = "dragoman-story-key-0001";
let gateway: Gateway;
let client: Anthropic;

beforeAll(async () => {
  gateway = await startGateway({ config: { auth: { api_key: key } } });
  client = new Anthropic({ baseURL: gateway.url, apiKey: key, maxRetries: 0 });
});
afterAll(() => gateway?.close());

const ask = { max_tokens: 200, messages: [{ role: "user" as const, content: "Grüezi, 世界" }] };
const models = ["sim/echo", "chat/sim-echo", "claude/sim-echo", "gem/sim-echo"];

describe.each(models)("V1-6: %s behind /v1/messages, with x-api-key", (model) => {
  test("buffered", async () => {
    const message = await client.messages.create({ ...ask, model });
    expect(message).toMatchObject({ type: "message", role: "assistant", stop_reason: "end_turn" });
    expect(message.content).toMatchObject([{ type: "text", text: "Grüezi, 世界" }]);
    expect(message.usage.output_tokens).toBeGreaterThan(0);
    expect(message._request_id).toMatch(/^[0-9A-Z]{26}$/);
  });

  test("streamed, with the SDK's own folding agreeing", async () => {
    const whole = await client.messages.create({ ...ask, model });
    const folded = await client.messages.stream({ ...ask, model }).finalMessage();
    expect(folded.content).toEqual(whole.content);
    expect(folded.stop_reason).toBe(whole.stop_reason);
    expect(folded.usage.output_tokens).toBe(whole.usage.output_tokens);
  });
});

test("V1-6: the events are Anthropic's, named and typed, and nothing is added to the message", async () => {
  const response = await fetch(`${gateway.url}/v1/messages`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-api-key": key, "anthropic-version": "2023-06-01" },
    body: JSON.stringify({ ...ask, model: "sim/echo", stream: true }),
  });
  expect(response.headers.get("content-type")).toMatch(/^text\/event-stream/);
  const records = (await response.text()).trimEnd().split("\n\n");
  for (const record of records) {
    const [, name, data] = /^event: (\w+)\ndata: (.*)$/.exec(record) ?? [];
    expect(JSON.parse(data ?? "")).toMatchObject({ type: name });
  }
  const names = records.map((record) => /^event: (\w+)/.exec(record)?.[1]);
  expect([names[0], names.at(-1)]).toEqual(["message_start", "message_stop"]);
});

test.each(models.map((model) => model.replace("echo", "script")))(
  "%s: a tool is called and its result answered, streamed",
  async (model) => {
    const steps = [{ steps: [{ tool_call: { name: "weather", arguments: { city: "Basel" } } }] }, { steps: [{ text: "It is sunny." }] }];
    const tools = [{ name: "weather", description: "Weather of a city", input_schema: { type: "object" as const } }];
    const messages: Anthropic.MessageParam[] = [{ role: "user", content: JSON.stringify({ sim_script: { turns: steps } }) }];
    const turn = await client.messages.stream({ model, max_tokens: 500, tools, messages }).finalMessage();
    expect(turn.stop_reason).toBe("tool_use");
    const call = turn.content.find((block) => block.type === "tool_use");
    expect(call).toMatchObject({ name: "weather", input: { city: "Basel" } });
    messages.push({ role: "assistant", content: turn.content });
    messages.push({ role: "user", content: [{ type: "tool_result", tool_use_id: call?.id ?? "", content: "sunny" }] });
    const answer = await client.messages.create({ model, max_tokens: 500, tools, messages });
    expect(answer.content).toMatchObject([{ type: "text", text: "It is sunny." }]);
    expect(answer.stop_reason).toBe("end_turn");
  },
);

test("tokens are counted, and the answer says by whom", async () => {
  const { data, response } = await client.messages.countTokens({ model: "sim/echo", messages: ask.messages }).withResponse();
  expect(data.input_tokens).toBeGreaterThan(0);
  expect(response.headers.get("x-dragoman-usage-basis")).toMatch(/^(provider|counted|estimated)$/);
});

test("models are listed in Anthropic's shape, over pages, and retrieved", async () => {
  const ids: string[] = [];
  for await (const model of client.models.list({ limit: 2 })) ids.push(model.id);
  expect(ids).toEqual(expect.arrayContaining(["sim/echo", "sim/script", "sim/embed"]));
  expect(new Set(ids).size).toBe(ids.length);
  expect(await client.models.retrieve("sim/echo")).toMatchObject({ type: "model", id: "sim/echo" });
});

describe.each(models.map((model) => model.replace("echo", "script")))("N23: %s by the SDK's tool runner", (model) => {
  const turns = [
    {
      steps: [
        { text: "Let me see." },
        { parallel: ["Bern", "Basel"].map((city) => ({ tool_call: { name: "weather", arguments: { city } } })) },
      ],
    },
    { steps: [{ text: "Snow and fog." }] },
  ];

  test.each([false, true])("calls what the model asks for until it answers, streamed: %s", async (stream) => {
    const asked: string[] = [];
    const weather = betaTool({
      name: "weather",
      description: "Weather of a city",
      inputSchema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
      run({ city }) {
        asked.push(city);
        return `${city}: known`;
      },
    });
    const messages = [{ role: "user" as const, content: JSON.stringify({ sim_script: { turns } }) }];
    const message = await client.beta.messages.toolRunner({ model, max_tokens: 500, tools: [weather], messages, stream }).runUntilDone();
    expect(message.content).toMatchObject([{ type: "text", text: "Snow and fog." }]);
    expect(asked).toEqual(["Bern", "Basel"]);
  });

  test("a message thread of its own is refused by the field, in the SDK's own class", async () => {
    const thread = client.beta.messages.thread({ model, max_tokens: 500 });
    const sending = thread.send({ role: "user", content: "hello" });
    await expect(sending).rejects.toBeInstanceOf(Anthropic.ThreadUnsupportedRequestError);
    await expect(sending).rejects.toThrow(/thread: is not kept/);
  });
});

describe("V1-6: what goes wrong becomes the SDK's own error classes", () => {
  const failure = (promise: PromiseLike<unknown>) =>
    promise.then(
      () => undefined,
      (error: unknown) => error,
    );

  test("a wrong key", async () => {
    const other = new Anthropic({ baseURL: gateway.url, apiKey: "wrong", maxRetries: 0 });
    const error = await failure(other.messages.create({ ...ask, model: "sim/echo" }));
    expect(error).toBeInstanceOf(Anthropic.AuthenticationError);
    expect(error).toMatchObject({ error: { type: "error", error: { type: "authentication_error" } } });
  });

  test("an unknown model", async () => {
    const error = await failure(client.messages.create({ ...ask, model: "nobody/knows" }));
    expect(error).toBeInstanceOf(Anthropic.NotFoundError);
    expect(error).toMatchObject({ error: { type: "error", error: { type: "not_found_error" } } });
    expect((error as InstanceType<typeof Anthropic.NotFoundError>).requestID).toMatch(/^[0-9A-Z]{26}$/);
  });

  test("a wrong field, by its path", async () => {
    const wrong = { model: "sim/echo", max_tokens: 5, messages: [{ role: "user", content: 7 }] };
    const error = await failure(client.messages.create(wrong as never));
    expect(error).toBeInstanceOf(Anthropic.BadRequestError);
    expect(error).toMatchObject({ error: { error: { type: "invalid_request_error" } } });
    expect((error as Error).message).toContain("messages[0].content");
  });

  test("a path that is not there, and a method that is not", async () => {
    for (const [path, method, status] of [
      ["/v1/messages/batches", "POST", 404],
      ["/v1/messages", "PUT", 405],
    ] as const) {
      const response = await fetch(gateway.url + path, { method, headers: { "x-api-key": key } });
      expect(response.status).toBe(status);
      expect(await response.json()).toMatchObject({ type: "error", error: { type: expect.any(String), message: expect.any(String) } });
    }
  });

  test("a failure in the middle of a stream", async () => {
    const stream = client.messages.stream({ model: "chat/sim-fault-error-event", max_tokens: 200, messages: ask.messages });
    await expect(stream.finalMessage()).rejects.toBeInstanceOf(Anthropic.APIError);
  });
});
