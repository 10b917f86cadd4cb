/** N8, C1: the official OpenAI SDK on /v1/responses, whose state is the gateway's, before every kind of upstream and none. */
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type Gateway, startGateway } from "./gateway.ts";

const keys = { mine: "dragoman-story-key-0001", other: "dragoman-story-key-0002" };
let gateway: Gateway;
let client: OpenAI;
let stranger: OpenAI;

beforeAll(async () => {
  const { createHash } = await import("node:crypto");
  const { mkdtempSync, writeFileSync } = await import("node:fs");
  const { tmpdir } = await import("node:os");
  const { join } = await import("node:path");
  const file = join(mkdtempSync(join(tmpdir(), "dragoman-keys-")), "keys");
  const lines = Object.values(keys).map((key) => `${createHash("sha256").update(key).digest("hex")} *`);
  writeFileSync(file, `${lines.join("\n")}\n`);
  gateway = await startGateway({ config: { auth: { api_keys_file: file } } });
  const open = (apiKey: string) => new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey, maxRetries: 0 });
  client = open(keys.mine);
  stranger = open(keys.other);
});
afterAll(() => gateway?.close());

const models = ["sim/script", "chat/sim-script", "claude/sim-script", "gem/sim-script"];

/** A script that answers each turn of the model with a text. */
function texts(...answers: string[]): string {
  return JSON.stringify({ sim_script: { turns: answers.map((text) => ({ steps: [{ text }] })) } });
}

describe.each(models)("N8: %s", (model) => {
  test("buffered and streamed agree, and what is retrieved is what was answered", async () => {
    const input = texts("Grüezi, 世界");
    const whole = await client.responses.create({ model, input });
    expect(whole).toMatchObject({ object: "response", status: "completed", output_text: "Grüezi, 世界", store: true });
    const types: string[] = [];
    const stream = client.responses.stream({ model, input });
    for await (const event of stream) types.push(event.type);
    const streamed = await stream.finalResponse();
    expect(types.at(-1)).toBe("response.completed");
    expect(streamed.output_text).toBe("Grüezi, 世界");
    for (const answer of [whole, streamed]) {
      const found = await client.responses.retrieve(answer.id);
      expect(found).toMatchObject({ id: answer.id, status: "completed", output: withoutParsed(answer.output), usage: answer.usage });
    }
  });

  test("previous_response_id continues the conversation with the call and its result, without the old instructions", async () => {
    gateway.reset();
    const script = {
      turns: [{ steps: [{ tool_call: { name: "weather", arguments: { city: "Bern" } } }] }, { steps: [{ text: "Sunny." }] }],
    };
    const tools = [{ type: "function" as const, name: "weather", parameters: { type: "object", properties: {} }, strict: false }];
    const first = await client.responses.create({ model, instructions: "Be brief.", input: JSON.stringify({ sim_script: script }), tools });
    const call = first.output.find((item) => item.type === "function_call");
    expect(call).toMatchObject({ name: "weather", arguments: '{"city":"Bern"}' });
    const second = await client.responses.create({
      model,
      previous_response_id: first.id,
      instructions: "Be polite.",
      input: [{ type: "function_call_output", call_id: call?.call_id ?? "", output: "22 degrees" }],
      tools,
    });
    expect(second).toMatchObject({ output_text: "Sunny.", previous_response_id: first.id });
    const echo = model.replace("script", "echo");
    const third = await client.responses.create({ model: echo, previous_response_id: second.id, input: "Goodbye", tools });
    expect(third.output_text).toBe("Goodbye");
    if (model.startsWith("sim/")) return;
    const bodies = gateway.sim.requests().map(({ body }) => JSON.stringify(body));
    expect(bodies[0]).toContain("Be brief.");
    expect(bodies[1]).not.toContain("Be brief.");
    expect(bodies[1]).toContain("Be polite.");
    expect(bodies[2]).not.toMatch(/Be (?:brief|polite)/);
    expect(bodies[2]).toContain("22 degrees");
  });
});

/** The SDK's helpers add what they parsed. */
function withoutParsed(output: readonly object[]): unknown {
  return JSON.parse(JSON.stringify(output), (key, value) => (key === "parsed" || key === "parsed_arguments" ? undefined : value));
}

describe("what is kept", () => {
  test("is not there for another key, in whatever way it asks", async () => {
    const { id } = await client.responses.create({ model: "sim/echo", input: "secret" });
    for (const attempt of [
      stranger.responses.retrieve(id),
      stranger.responses.delete(id),
      stranger.responses.cancel(id),
      stranger.responses.inputItems.list(id),
    ]) {
      await expect(attempt).rejects.toBeInstanceOf(OpenAI.NotFoundError);
    }
    const continued = stranger.responses.create({ model: "sim/echo", input: "go on", previous_response_id: id });
    await expect(continued).rejects.toMatchObject({ status: 400, param: "previous_response_id" });
    expect((await client.responses.retrieve(id)).output_text).toBe("secret");
  });

  test("is deleted once, and can then not be continued", async () => {
    const { id } = await client.responses.create({ model: "sim/echo", input: "hi" });
    const raw = await client.delete(`/responses/${id}`);
    expect(raw).toEqual({ id, object: "response", deleted: true });
    await expect(client.responses.retrieve(id)).rejects.toBeInstanceOf(OpenAI.NotFoundError);
    await expect(client.responses.delete(id)).rejects.toBeInstanceOf(OpenAI.NotFoundError);
    const continued = client.responses.create({ model: "sim/echo", input: "go on", previous_response_id: id });
    await expect(continued).rejects.toMatchObject({ status: 400, param: "previous_response_id" });
  });

  test("is nothing where the client says store: false", async () => {
    const answer = await client.responses.create({ model: "sim/echo", input: "hi", store: false });
    expect(answer).toMatchObject({ store: false });
    await expect(client.responses.retrieve(answer.id)).rejects.toBeInstanceOf(OpenAI.NotFoundError);
  });

  test("lists what was asked, page by page, in both orders", async () => {
    const input = ["one", "two", "three"].map((content) => ({ role: "user" as const, content }));
    const { id } = await client.responses.create({ model: "sim/echo", input });
    const textOf = (item: object) => JSON.stringify(item).match(/one|two|three/)?.[0];
    const seen = async (order?: "asc" | "desc") => {
      const found = [];
      for await (const item of client.responses.inputItems.list(id, { limit: 2, ...(order === undefined ? {} : { order }) }))
        found.push(item);
      return found;
    };
    expect((await seen("asc")).map(textOf)).toEqual(["one", "two", "three"]);
    expect((await seen()).map(textOf)).toEqual(["three", "two", "one"]);
    const page = await client.responses.inputItems.list(id, { limit: 2 });
    expect(page.has_more).toBe(true);
    expect((await seen()).map(({ id }) => id)).toEqual(expect.arrayContaining(page.data.map(({ id }) => id)));
    const wrong = client.responses.inputItems.list(id, { limit: 101 });
    await expect(wrong).rejects.toMatchObject({ status: 400, param: "limit" });
  });

  test("cannot be cancelled when it is over, nor streamed again", async () => {
    const { id } = await client.responses.create({ model: "sim/echo", input: "hi" });
    await expect(client.responses.cancel(id)).rejects.toBeInstanceOf(OpenAI.BadRequestError);
    await expect(client.responses.retrieve(id, { stream: true })).rejects.toBeInstanceOf(OpenAI.BadRequestError);
  });
});

describe("while it is streamed", () => {
  const slow = JSON.stringify({ sim_script: { steps: [{ text: "first " }, { delay_ms: 20_000 }, { text: "last" }] } });

  /** A stream that has begun, and its id. */
  async function begin(model: string) {
    const stream = await client.responses.create({ model, input: slow, stream: true });
    const iterator = stream[Symbol.asyncIterator]();
    for (;;) {
      const { value, done } = await iterator.next();
      if (done) throw new Error("it ended");
      if (value.type === "response.created") return { id: value.response.id, iterator, stream };
    }
  }

  test.each(["chat/sim-script", "claude/sim-script"])(
    "%s: an answer is in progress, and can be cancelled by its owner alone",
    async (model) => {
      gateway.reset();
      const { id, iterator } = await begin(model);
      expect(await client.responses.retrieve(id)).toMatchObject({ id, status: "in_progress", output: [] });
      expect((await client.responses.inputItems.list(id)).data).toHaveLength(1);
      await expect(stranger.responses.cancel(id)).rejects.toBeInstanceOf(OpenAI.NotFoundError);
      const cancelled = await client.responses.cancel(id);
      expect(cancelled).toMatchObject({ id, status: "cancelled" });
      const rest: string[] = [];
      for (let next = await iterator.next(); !next.done; next = await iterator.next()) rest.push(next.value.type);
      expect(rest).not.toContain("response.completed");
      expect(rest.at(-1)).toBe("response.failed");
      expect(await client.responses.retrieve(id)).toMatchObject({ status: "cancelled" });
      expect(await client.responses.cancel(id)).toMatchObject({ status: "cancelled" });
      const continued = client.responses.create({ model, input: "go on", previous_response_id: id });
      await expect(continued).rejects.toMatchObject({ status: 400, param: "previous_response_id" });
      await vi.waitFor(() => expect(gateway.attempts()).toMatchObject([{ status: "cancelled" }]));
    },
  );

  test("a client that leaves cancels its answer", async () => {
    const { id, stream } = await begin("chat/sim-script");
    stream.controller.abort();
    await vi.waitFor(async () => expect(await client.responses.retrieve(id)).toMatchObject({ status: "cancelled" }), { timeout: 3_000 });
  });

  test("a failure is kept as one", async () => {
    const script = JSON.stringify({ sim_script: { steps: [{ text: "half " }, { fault: "error_event" }] } });
    const stream = await client.responses.create({ model: "chat/sim-script", input: script, stream: true });
    let id = "";
    let last = "";
    for await (const event of stream) {
      if (event.type === "response.created") id = event.response.id;
      last = event.type;
    }
    expect(last).toBe("response.failed");
    expect(await client.responses.retrieve(id)).toMatchObject({ status: "failed", error: { code: expect.any(String) } });
  });
});

describe("state that is not ours", () => {
  test("compacting is refused as what it is, once", async () => {
    const asking = client.post("/responses/compact", { body: { model: "sim/echo", input: "hi" }, maxRetries: 2 });
    await expect(asking).rejects.toMatchObject({ status: 501, error: { message: expect.stringContaining("not compacted") } });
  });

  test("what the gateway keeps, the provider is asked not to keep", async () => {
    gateway.reset();
    await client.responses.create({ model: "chat/sim-echo", input: "hi" });
    expect(gateway.sim.requests().at(-1)?.body).not.toMatchObject({ store: true });
  });

  test("background answers are refused with the field", async () => {
    const asking = client.responses.create({ model: "sim/echo", input: "hi", background: true });
    await expect(asking).rejects.toMatchObject({ status: 400, param: "background" });
  });
});

describe("tokens of an input", () => {
  test("are counted, those of the earlier conversation with them", async () => {
    const long = "word ".repeat(200);
    const { id } = await client.responses.create({ model: "sim/echo", input: long });
    const alone = await client.responses.inputTokens.count({ model: "sim/echo", input: "go on" });
    const continued = await client.responses.inputTokens.count({ model: "sim/echo", input: "go on", previous_response_id: id });
    expect(alone).toMatchObject({ object: "response.input_tokens", input_tokens: expect.any(Number) });
    expect(continued.input_tokens).toBeGreaterThan(alone.input_tokens + 200);
  });
});
