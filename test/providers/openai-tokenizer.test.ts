import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { GenerateRequestSchema, MediaDetail, Role } from "../../gen/dragoman/v1/generate_pb.ts";
import { createOpenAiTokenizers } from "../../src/providers/openai-tokenizer.ts";

const tokenizers = createOpenAiTokenizers();
const text = (value: string) => ({ part: { case: "text" as const, value } });

async function countInput(model: string, init: MessageInitShape<typeof GenerateRequestSchema>) {
  return (await tokenizers.find(model))?.countInput(create(GenerateRequestSchema, init));
}

describe("whose tokenizer is public", () => {
  test.each([
    "gpt-4o-mini",
    "gpt-4.1",
    "gpt-5.2-pro",
    "o3",
    "o4-mini",
    "ft:gpt-4o:me",
    "openai/gpt-4o",
    "GPT-4O",
    "gpt-4",
    "gpt-3.5-turbo",
  ])("%s", (model) => expect(tokenizers.find(model)).toBeDefined());
  test.each(["claude-sonnet-4-5", "gpt-oss-120b", "llama-3", "o3n", "my-gpt-4o", ""])("not that of %s", (model) => {
    expect(tokenizers.find(model)).toBeUndefined();
  });
});

describe("texts", () => {
  test("each family by its own encoding", async () => {
    // Counts as OpenAI's own tokenizer page gives them.
    const [newer, older] = await Promise.all([tokenizers.find("gpt-4o"), tokenizers.find("gpt-4")]);
    expect(newer?.countText("hello world")).toBe(2);
    expect(newer?.countText("お誕生日おめでとう")).toBe(8);
    expect(older?.countText("お誕生日おめでとう")).toBe(9);
  });

  test("what looks like a special token is text", async () => {
    expect((await tokenizers.find("gpt-4o"))?.countText("<|endoftext|>")).toBeGreaterThan(1);
  });

  test("a long run costs no more than its length", async () => {
    const tokenizer = await tokenizers.find("gpt-4o");
    for (const run of ["a", "\n", " "]) {
      const one = tokenizer?.countText(run.repeat(5_120)) ?? 0;
      expect(one).toBeGreaterThan(0);
      expect(tokenizer?.countText(run.repeat(51_200))).toBeLessThanOrEqual(one * 10 + 1);
    }
  });
});

describe("whole calls", () => {
  // The cookbook's example for gpt-4o: 124 tokens as the API counted them.
  test("messages and names, as the service counts them", async () => {
    const system = (name: string, value: string) => ({ role: Role.SYSTEM, name, parts: [text(value)] });
    const messages = [
      system("", "You are a helpful, pattern-following assistant that translates corporate jargon into plain English."),
      system("example_user", "New synergies will help drive top-line growth."),
      system("example_assistant", "Things working well together will increase revenue."),
      system("example_user", "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage."),
      system("example_assistant", "Let's talk later when we're less busy about how to do better."),
      { role: Role.USER, parts: [text("This late pivot means we don't have time to boil the ocean for the client deliverable.")] },
    ];
    expect(await countInput("gpt-4o", { model: "gpt-4o", messages })).toEqual({ tokens: 124, isCounted: true });
    expect(await countInput("gpt-4", { model: "gpt-4", messages })).toEqual({ tokens: 129, isCounted: true });
  });

  test("tools count by their declarations, and every result is a message", async () => {
    const messages = [{ role: Role.USER, parts: [text("hi")] }];
    const plain = await countInput("gpt-4o", { model: "m", messages });
    const parametersJson = '{"type":"object","properties":{"city":{"type":"string","description":"Where"}},"required":["city"]}';
    const tool = { tool: { case: "function" as const, value: { name: "weather", description: "Looks", parametersJson } } };
    const withTool = await countInput("gpt-4o", { model: "m", messages, tools: [tool] });
    expect(withTool?.isCounted).toBe(true);
    expect((withTool?.tokens ?? 0) - (plain?.tokens ?? 0)).toBeGreaterThan(25);
    expect((withTool?.tokens ?? 0) - (plain?.tokens ?? 0)).toBeLessThan(45);
    const result = (id: string) => ({ part: { case: "toolResult" as const, value: { toolCallId: id, content: [text("ok")] } } });
    const one = await countInput("gpt-4o", { model: "m", messages: [{ role: Role.TOOL, parts: [result("a")] }] });
    const two = await countInput("gpt-4o", { model: "m", messages: [{ role: Role.TOOL, parts: [result("a"), result("b")] }] });
    // 3 to begin the answer; each result 3, its role and its text.
    expect([one?.tokens, two?.tokens]).toEqual([8, 13]);
  });

  test("images and sound are estimates", async () => {
    const image = (detail: MediaDetail) => ({
      part: { case: "image" as const, value: { source: { case: "url" as const, value: "https://example.com/i.png" }, detail } },
    });
    const low = await countInput("gpt-4o", { model: "m", messages: [{ role: Role.USER, parts: [image(MediaDetail.LOW)] }] });
    const high = await countInput("gpt-4o", { model: "m", messages: [{ role: Role.USER, parts: [image(MediaDetail.HIGH)] }] });
    expect(low).toEqual({ tokens: 92, isCounted: false });
    expect(high).toEqual({ tokens: 772, isCounted: false });
  });

  test("what is far too long is estimated", async () => {
    const long = "word ".repeat(300_000);
    const counted = await countInput("gpt-4o", { model: "m", messages: [{ role: Role.USER, parts: [text(long)] }] });
    expect(counted?.isCounted).toBe(false);
    expect(counted?.tokens).toBeGreaterThan(300_000);
  });
});
