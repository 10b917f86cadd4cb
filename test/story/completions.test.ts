/** V1-1, C3: the older Completions, by the official OpenAI SDK, before every kind of upstream and none. */
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

describe.each(["sim/echo", "chat/sim-echo", "claude/sim-echo", "gem/sim-echo"])("V1-1, C3: %s", (model) => {
  test("a prompt, buffered and streamed", async () => {
    const whole = await client.completions.create({ model, prompt: "Grüezi, 世界", max_tokens: 50 });
    expect(whole).toMatchObject({ object: "text_completion", choices: [{ index: 0, text: "Grüezi, 世界", finish_reason: "stop" }] });
    expect(whole.id).toMatch(/^cmpl-/);
    expect(whole.usage?.total_tokens).toBe((whole.usage?.prompt_tokens ?? 0) + (whole.usage?.completion_tokens ?? 0));
    let text = "";
    for await (const chunk of await client.completions.create({ model, prompt: "Grüezi, 世界", max_tokens: 50, stream: true })) {
      expect(chunk.object).toBe("text_completion");
      text += chunk.choices[0]?.text ?? "";
    }
    expect(text).toBe("Grüezi, 世界");
  });

  test("several prompts: a call each, joined in their order, tokens added up", async () => {
    gateway.reset();
    const one = await client.completions.create({ model, prompt: ["one"], max_tokens: 50 });
    const both = await client.completions.create({ model, prompt: ["one", "two and more"], max_tokens: 50 });
    expect(one.choices.map(({ text }) => text)).toEqual(["one"]);
    expect(both.choices.map(({ index, text }) => [index, text])).toEqual([
      [0, "one"],
      [1, "two and more"],
    ]);
    expect(both.usage?.completion_tokens).toBeGreaterThan(one.usage?.completion_tokens ?? 0);
    expect(gateway.attempts()).toHaveLength(3);
  });
});

test("V1-1, C3: messages are a chat completion", async () => {
  const answer = await client.post("/completions", { body: { model: "sim/echo", messages: [{ role: "user", content: "hi" }] } });
  expect(answer).toMatchObject({ object: "chat.completion", choices: [{ message: { content: "hi" } }] });
});

test.each([
  ["a token array", { prompt: [1, 2, 3] }, "prompt"],
  ["token arrays", { prompt: [[1, 2], [3]] }, "prompt"],
  ["suffix", { prompt: "a", suffix: "b" }, "suffix"],
  ["best_of", { prompt: "a", best_of: 2 }, "best_of"],
  ["several prompts with stream", { prompt: ["a", "b"], stream: true }, "prompt"],
  ["no prompt", {}, "prompt"],
])("V1-1: %s is refused by its field", async (_, fields, param) => {
  const asking = client.post("/completions", { body: { model: "sim/echo", ...fields } });
  await expect(asking).rejects.toBeInstanceOf(OpenAI.BadRequestError);
  const error = await asking.catch((thrown: { param?: string }) => thrown);
  expect((error as { param?: string }).param).toMatch(new RegExp(`^${param}`));
});

test("one of several prompts that fails, fails all", async () => {
  const asking = client.completions.create({ model: "chat/sim-status-500", prompt: ["a", "b"], max_tokens: 5 });
  await expect(asking).rejects.toBeInstanceOf(OpenAI.InternalServerError);
});
