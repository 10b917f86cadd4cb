import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import {
  type Message,
  MessageSchema,
  OutputKind,
  type Part,
  PartSchema,
  ReasoningEffort,
  Role,
  ToolChoiceMode,
} from "../../../gen/dragoman/v1/generate_pb.ts";
import { openAiResponsesDialect as dialect } from "../../../src/codecs/openai-responses/index.ts";
import { parseJson } from "../../../src/core/json.ts";
import { write } from "./written.ts";

const text = (value: string) => create(PartSchema, { part: { case: "text", value } });
const message = (role: Role, ...parts: Part[]): Message => create(MessageSchema, { role, parts });
const user = (value: string) => message(Role.USER, text(value));
const assistant = (...parts: Part[]) => message(Role.ASSISTANT, ...parts);
const call = (id: string, itemId = "") => create(PartSchema, { part: { case: "toolCall", value: { id, name: "f" } }, id: itemId });
const answered = (toolCallId: string, content: Part[], isError = false) =>
  create(PartSchema, { part: { case: "toolResult", value: { toolCallId, content, isError } } });
const result = (toolCallId: string) => message(Role.TOOL, answered(toolCallId, [text("ok")]));
const reasoning = (signature?: { value: string; format: string; provider?: string }, id = "") =>
  create(PartSchema, {
    part: { case: "reasoning", value: { summaries: ["thought"] } },
    id,
    ...(signature === undefined ? {} : { signature }),
  });
const own = { value: "gAAA", format: "openai" };

describe("case 26: reasoning without provider-side state", () => {
  test("goes back with its encrypted content and its id, before what it led to", () => {
    const { body, notes } = write({
      messages: [user("hi"), assistant(reasoning(own, "rs_1"), call("c", "fc_1")), result("c")],
    });
    expect(body.store).toBe(false);
    expect(body.include).toEqual(["reasoning.encrypted_content"]);
    expect(body.input.slice(1, 3)).toEqual([
      { type: "reasoning", id: "rs_1", summary: [{ type: "summary_text", text: "thought" }], encrypted_content: "gAAA" },
      { type: "function_call", call_id: "c", name: "f", id: "fc_1", arguments: "{}" },
    ]);
    expect(notes).toEqual([]);
  });

  test("is left out without it, and the id of what it led to as well: it names a pair that is torn", () => {
    const { body, notes } = write({
      messages: [user("hi"), assistant(reasoning(undefined, "rs_1"), call("c", "fc_1")), result("c")],
    });
    expect(body.input[1]).toEqual({ type: "function_call", call_id: "c", name: "f", arguments: "{}" });
    expect(notes).toEqual(["dropped messages[1].parts[0]"]);
  });

  test("is left out where another vendor, or another provider, signed it", () => {
    for (const signature of [
      { value: "s", format: "anthropic" },
      { ...own, provider: "another" },
    ]) {
      const { body, notes } = write({ messages: [user("hi"), assistant(reasoning(signature), text("yes"))] });
      expect(body.input).toHaveLength(2);
      expect(notes).toEqual(["dropped messages[1].parts[0]"]);
    }
  });

  test("is left out where nothing follows it", () => {
    const { body, notes } = write({ messages: [user("hi"), assistant(reasoning(own)), user("go on")] });
    expect(body.input.map(({ role }: { role: string }) => role)).toEqual(["user", "user"]);
    expect(notes).toEqual(["dropped messages[1].parts[0]"]);
  });

  test("is named by its id where the service keeps it, and a model that does not reason is not asked for it", () => {
    const messages = [user("hi"), assistant(reasoning(undefined, "rs_1"), text("yes"))];
    const stored = write({ messages, serverState: { store: true } });
    expect(stored.body.input[1]).toMatchObject({ type: "reasoning", id: "rs_1" });
    expect(stored.body.include).toBeUndefined();
    expect(write({ messages: [user("hi")] }, { traits: { reasoning: "none" } }).body.include).toBeUndefined();
  });
});

describe("case 34: strict of tools", () => {
  const tool = (name: string, strict?: boolean) => ({
    tool: { case: "function", value: { name, ...(strict === undefined ? {} : { strict }) } } as const,
  });

  test("is false where a client of another dialect left it out", () => {
    const { body } = write({ messages: [user("hi")], tools: [tool("a"), tool("b", true)] });
    expect(body.tools).toEqual([
      { type: "function", name: "a", strict: false, parameters: { type: "object", properties: {} } },
      { type: "function", name: "b", strict: true, parameters: { type: "object", properties: {} } },
    ]);
  });

  test("stays as it is between clients and servers of this format", () => {
    const tools = [
      { type: "function", name: "a", parameters: { type: "object" } },
      { type: "function", name: "b", parameters: null, strict: null },
    ];
    const { generate } = dialect.readRequest(parseJson(JSON.stringify({ model: "m", input: "hi", tools })));
    expect(write(generate).body.tools).toEqual(tools);
  });
});

test("results with images stay whole, and an error says so", () => {
  const png = Buffer.from("89504e470d0a1a0a", "hex");
  const image = create(PartSchema, { part: { case: "image", value: { source: { case: "data", value: png } } } });
  const failed = answered("d", [text("no")], true);
  const shown = answered("c", [text("see"), image]);
  const { body, notes } = write({
    messages: [user("hi"), assistant(call("c"), call("d")), message(Role.USER, shown, failed, text("well?"))],
  });
  expect(body.input.slice(3)).toEqual([
    {
      type: "function_call_output",
      call_id: "c",
      output: [
        { type: "input_text", text: "see" },
        { type: "input_image", image_url: `data:image/png;base64,${png.toString("base64")}` },
      ],
    },
    { type: "function_call_output", call_id: "d", output: "Error: no" },
    { type: "message", role: "user", content: [{ type: "input_text", text: "well?" }] },
  ]);
  expect(notes).toEqual(["emulated messages[2].parts[1].tool_result.is_error"]);
});

test("what the format lacks is reported, and what would change the meaning is refused", () => {
  const { body, notes, refused } = write({
    messages: [message(Role.SYSTEM, text("be brief")), user("hi")],
    sampling: { temperature: 3, topK: 4, seed: 1n, stop: ["\n"], candidateCount: 2, maxOutputTokens: 1, topLogprobs: 2 },
    toolChoice: { mode: ToolChoiceMode.REQUIRED },
    reasoning: { budgetTokens: 5000 },
    cache: { key: "k", ttlSeconds: 300 },
  });
  expect(body).toMatchObject({
    instructions: "be brief",
    temperature: 2,
    max_output_tokens: 16,
    reasoning: { effort: "medium" },
    prompt_cache_key: "k",
    prompt_cache_options: { ttl: "30m" },
    include: ["reasoning.encrypted_content", "message.output_text.logprobs"],
  });
  expect(notes.sort()).toEqual([
    "coerced cache.ttl_seconds",
    "coerced reasoning.budget_tokens",
    "coerced sampling.max_output_tokens",
    "coerced sampling.temperature",
    "dropped sampling.seed",
    "dropped sampling.top_k",
    "dropped tool_choice",
    "emulated sampling.stop",
  ]);
  expect(refused).toEqual(["sampling.candidate_count"]);
});

test("a reasoning model gets no sampling settings, by its traits", () => {
  const { body, notes } = write(
    { messages: [user("hi")], sampling: { temperature: 1, topP: 0.5 }, reasoning: { effort: ReasoningEffort.MAX } },
    { traits: { sampling: false, efforts: ["low", "medium", "high"] } },
  );
  expect(body).not.toHaveProperty("temperature");
  expect(body.reasoning).toEqual({ effort: "high" });
  expect(notes).toEqual(["dropped sampling.temperature", "dropped sampling.top_p", "coerced reasoning.effort"]);
});

test("JSON mode needs the word among the messages, where instructions do not count", () => {
  const system = message(Role.SYSTEM, text("Answer in JSON."));
  const outputFormat = { kind: OutputKind.JSON_OBJECT };
  const said = write({ messages: [system, user("hi")], outputFormat });
  expect(said.body.instructions).toBeUndefined();
  expect(said.body.input[0]).toMatchObject({ role: "system" });
  expect(said.notes).toEqual([]);
  const unsaid = write({ messages: [user("hi")], outputFormat });
  expect(unsaid.body.input[0].content[0].text).toMatch(/JSON/);
  expect(unsaid.notes).toEqual(["emulated output_format.kind"]);
});

test("calls and results must pair, unless the service knows what came before", () => {
  expect(write({ messages: [user("hi"), assistant(call("c"))] }).refused).toEqual(["messages[1].parts[0].tool_call"]);
  expect(write({ messages: [result("c")] }).refused).toEqual(["messages[0].parts[0].tool_result.tool_call_id"]);
  const continued = write({ messages: [result("c")], serverState: { previousId: "resp_1" } });
  expect(continued.refused).toEqual([]);
  expect(continued.body).toMatchObject({ previous_response_id: "resp_1" });
  expect(continued.body.store).toBeUndefined();
});

test("a reference to an item goes only to a service that keeps items", () => {
  const { generate } = dialect.readRequest(parseJson('{"model":"m","input":[{"type":"item_reference","id":"msg_1"}],"store":true}'));
  expect(write(generate).body.input).toEqual([{ type: "item_reference", id: "msg_1" }]);
  expect(write({ messages: generate.messages, serverState: { store: false } }).refused).toEqual(["messages[0].parts[0]"]);
});
