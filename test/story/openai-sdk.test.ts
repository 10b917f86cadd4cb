/** C1: the official OpenAI SDK, told nothing but the base URL, with no upstream at all: the built-in models answer. */
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Gateway, startGateway } from "./gateway.ts";

let gateway: Gateway;
let client: OpenAI;

beforeAll(async () => {
  gateway = await startGateway();
  client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "none", maxRetries: 0 });
});
afterAll(() => gateway?.close());

const messages = [{ role: "user" as const, content: "Grüezi, 世界" }];

test("streamed", async () => {
  const stream = await client.chat.completions.create({ model: "sim/echo", messages, stream: true });
  let text = "";
  for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
  expect(text).toBe("Grüezi, 世界");
});

test("buffered, with the SDK's stream helper agreeing", async () => {
  const whole = await client.chat.completions.create({ model: "sim/echo", messages });
  expect(whole.choices[0]?.message).toMatchObject({ role: "assistant", content: "Grüezi, 世界" });
  expect(whole.usage?.total_tokens).toBe((whole.usage?.prompt_tokens ?? 0) + (whole.usage?.completion_tokens ?? 0));
  const folded = await client.chat.completions
    .stream({ model: "sim/echo", messages, stream_options: { include_usage: true } })
    .finalChatCompletion();
  expect(folded.choices[0]?.message.content).toBe("Grüezi, 世界");
  expect(folded.usage).toEqual(whole.usage);
});

test("embeddings: the SDK asks for base64 and gets floats; the same vector every time, of unit length", async () => {
  const ask = (extra: object = {}) => client.embeddings.create({ model: "sim/embed", input: ["one", "two"], ...extra });
  const [packed, floats] = [await ask(), await ask({ encoding_format: "float" })];
  expect(packed.data.map(({ index }) => index)).toEqual([0, 1]);
  const [first = [], second = []] = packed.data.map(({ embedding }) => embedding);
  expect(first).toHaveLength(256);
  expect(Math.hypot(...first)).toBeCloseTo(1, 5);
  expect(first).not.toEqual(second);
  for (const [index, value] of first.entries()) expect(value).toBeCloseTo(floats.data[0]?.embedding[index] ?? Number.NaN, 6);
  expect((await ask({ dimensions: 16 })).data[0]?.embedding).toHaveLength(16);
});

test("embeddings with meaning, offline, where the optional packages are installed", async (context) => {
  const { data: models } = await client.models.list();
  if (!models.some(({ id }) => id === "local/use-lite")) return context.skip("the optional packages @energetic-ai/* are not installed");
  const { data } = await client.embeddings.create({
    model: "local/use-lite",
    input: ["How do I reset my password?", "I forgot my login credentials", "What is the weather in Paris today?"],
  });
  const [reset = [], forgot = [], weather = []] = data.map(({ embedding }) => embedding);
  const dot = (left: number[], right: number[]) => left.reduce((sum, value, index) => sum + value * (right[index] ?? 0), 0);
  expect(reset).toHaveLength(512);
  expect(dot(reset, forgot)).toBeGreaterThan(dot(reset, weather) + 0.2);
});

test("C5: models, listed and retrieved, slash in the id included", async () => {
  const { data } = await client.models.list();
  const ids = data.map(({ id }) => id);
  expect(ids).toEqual(expect.arrayContaining(["sim/echo", "sim/script", "sim/embed"]));
  expect(new Set(ids).size).toBe(ids.length);
  expect(await client.models.retrieve("sim/echo")).toMatchObject({ id: "sim/echo", object: "model" });
  const again = await client.models.list();
  expect(again.data).toEqual(data);
});

describe("what goes wrong becomes the SDK's own error classes", () => {
  test("C16: an unknown model", async () => {
    const asking = client.chat.completions.create({ model: "nobody/knows", messages });
    await expect(asking).rejects.toBeInstanceOf(OpenAI.NotFoundError);
    await expect(asking).rejects.toMatchObject({ code: "model_not_found" });
  });

  test("a wrong field, by its path", async () => {
    const asking = client.chat.completions.create({ model: "sim/echo", messages: [{ role: "user", content: 5 as unknown as string }] });
    await expect(asking).rejects.toBeInstanceOf(OpenAI.BadRequestError);
    await expect(asking).rejects.toMatchObject({ param: "messages[0].content" });
  });

  test("C20: a provider that fails, and a limit of the provider with its time to come back", async () => {
    const failing = client.chat.completions.create({ model: "chat/sim-status-500", messages });
    await expect(failing).rejects.toBeInstanceOf(OpenAI.InternalServerError);
    const limited = client.chat.completions.create({ model: "claude/sim-fault-rate-limit", messages });
    await expect(limited).rejects.toBeInstanceOf(OpenAI.RateLimitError);
    const headers = await limited.catch((error: { headers: Headers }) => error.headers);
    expect((headers as Headers).get("retry-after")).toBe("2");
  });

  test("ERR-4: a wrong credential of the gateway at the provider is the gateway's failure, and nobody sees the key", async () => {
    const other = await startGateway({
      config: { providers: { bad: { type: "openai", base_url: `${gateway.sim.url}/v1`, api_key: "sk-bad-secret-canary-123456" } } },
    });
    try {
      const asking = new OpenAI({ baseURL: `${other.url}/v1`, apiKey: "none", maxRetries: 0 }).chat.completions.create({
        model: "bad/sim-echo",
        messages,
      });
      await expect(asking).rejects.toMatchObject({ status: 502 });
      const thrown = await asking.catch((error: Error) => `${error.message} ${JSON.stringify(error)}`);
      expect(`${thrown} ${JSON.stringify(other.lines)}`).not.toContain("canary");
    } finally {
      await other.close();
    }
  });
});

describe("what a target cannot take", () => {
  test("is named in the answer's header, in the client's words", async () => {
    const { response } = await client.chat.completions
      .create({ model: "claude/sim-echo", messages, seed: 7, frequency_penalty: 0.5 })
      .withResponse();
    const header = response.headers.get("x-dragoman-translation") ?? "";
    expect(header).toContain('dropped;path="seed"');
    expect(header).toContain('dropped;path="frequency_penalty"');
    expect(header).toContain('defaulted;path="max_completion_tokens"');
  });

  test("is refused in strict mode, with every path and nothing sent", async () => {
    gateway.reset();
    const asking = client.chat.completions.create(
      { model: "claude/sim-echo", messages, seed: 7, frequency_penalty: 0.5 },
      { headers: { "x-dragoman-strict": "true" } },
    );
    await expect(asking).rejects.toMatchObject({ status: 400, param: "seed" });
    expect(gateway.sim.requests()).toEqual([]);
  });

  test("is told beforehand by explain: the plan and its report, with nothing sent or billed", async () => {
    gateway.reset();
    const { response } = await client.chat.completions
      .create({ model: "claude/sim-echo", messages, seed: 7 }, { headers: { "x-dragoman-explain": "true" } })
      .withResponse();
    expect(response.headers.get("x-dragoman-translation")).toContain('dropped;path="seed"');
    expect(response.headers.get("x-dragoman-provider")).toBe("claude");
    expect(gateway.sim.requests()).toEqual([]);
    expect(gateway.attempts()[0]?.output_tokens).toBeUndefined();
  });

  test("unknown fields reach an upstream of the same format", async () => {
    gateway.reset();
    await client.chat.completions.create({ model: "chat/sim-lenient", messages, brand_new: { deep: [1, { x: true }] } } as never);
    expect(gateway.sim.requests().at(-1)?.body).toMatchObject({ brand_new: { deep: [1, { x: true }] } });
  });
});
