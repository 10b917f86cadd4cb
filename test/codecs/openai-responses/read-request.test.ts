import { describe, expect, test } from "vitest";
import { ReasoningDisplay, Role, ToolChoiceMode } from "../../../gen/dragoman/v1/generate_pb.ts";
import { openAiResponsesDialect as dialect, openAiInputTokensDialect } from "../../../src/codecs/openai-responses/index.ts";
import { GatewayError } from "../../../src/core/error.ts";
import { parseJson } from "../../../src/core/json.ts";

const read = (body: object) => dialect.readRequest(parseJson(JSON.stringify({ model: "m", input: "hi", ...body })));

test("what the model made in one turn is one message, in order; everything else is a message of its own", () => {
  const { generate } = read({
    instructions: "be brief",
    input: [
      { role: "user", content: "hi" },
      { type: "reasoning", id: "rs_1", summary: [], encrypted_content: "gAAA" },
      {
        type: "message",
        id: "msg_1",
        role: "assistant",
        status: "completed",
        content: [{ type: "output_text", text: "a", annotations: [] }],
      },
      { type: "function_call", id: "fc_1", call_id: "c1", name: "f", arguments: "{}" },
      { type: "function_call", id: "fc_2", call_id: "c2", name: "f", arguments: "{}" },
      { type: "function_call_output", call_id: "c1", output: "1" },
      { type: "function_call_output", call_id: "c2", output: "2" },
    ],
  });
  expect(generate.messages.map(({ role, parts }) => [role, parts.map(({ part }) => part.case)])).toEqual([
    [Role.SYSTEM, ["text"]],
    [Role.USER, ["text"]],
    [Role.ASSISTANT, ["reasoning", "text", "toolCall", "toolCall"]],
    [Role.TOOL, ["toolResult"]],
    [Role.TOOL, ["toolResult"]],
  ]);
});

test("absent stays absent, and unknown fields stay where they were", () => {
  const { generate, stream } = read({
    brand_new: 1,
    reasoning: { summary: "auto", mode: "pro" },
    include: ["x"],
    input: [{ role: "user", content: [], mood: 1 }],
  });
  expect(stream).toBeUndefined();
  for (const name of ["sampling", "toolChoice", "serverState", "outputFormat", "cache"]) expect(generate).not.toHaveProperty(name);
  expect(generate.reasoning).toMatchObject({ display: ReasoningDisplay.SUMMARY, effort: 0 });
  expect(JSON.parse(generate.extrasJson["openai-responses"] ?? "")).toEqual({ brand_new: 1, reasoning: { mode: "pro" }, include: ["x"] });
  expect(generate.messages[0]?.extrasJson).toEqual({ "openai-responses": '{"mood":1}' });
});

test("a choice among allowed tools is read, one with a provider's tool stays as it is", () => {
  const named = { type: "allowed_tools", mode: "required", tools: [{ type: "function", name: "f" }] };
  expect(read({ tool_choice: named }).generate.toolChoice).toMatchObject({ mode: ToolChoiceMode.REQUIRED, allowedTools: ["f"] });
  const mixed = { ...named, tools: [{ type: "mcp", server_label: "s" }] };
  const { generate } = read({ tool_choice: mixed });
  expect(generate.toolChoice).toBeUndefined();
  expect(JSON.parse(generate.extrasJson["openai-responses"] ?? "")).toEqual({ tool_choice: mixed });
});

describe("a wrong field is named in the client's words", () => {
  test.each<[object, string]>([
    [{ model: undefined }, "model"],
    [{ input: undefined }, "input"],
    [{ input: 5 }, "input"],
    [{ input: [{ role: "robot", content: "x" }] }, "input[0].role"],
    [{ input: [{ role: "user", content: [{ type: "input_image" }] }] }, "input[0].content[0].image_url"],
    [{ input: [{ type: "function_call_output", call_id: "c" }] }, "input[0].output"],
    [{ background: true }, "background"],
    [{ previous_response_id: "a", conversation: "b" }, "conversation"],
    [{ text: { format: { type: "json_schema", name: "n" } } }, "text.format.schema"],
    [{ tools: [{ type: "function" }] }, "tools[0].name"],
  ])("%j", (change, path) => {
    expect(() => read(change)).toThrow(GatewayError);
    try {
      read(change);
    } catch (error) {
      expect((error as GatewayError).details.fields?.[0]?.field).toBe(path);
    }
  });
});

test("places in the core's messages are named as the client wrote them", () => {
  const { clientPath } = read({
    instructions: "be brief",
    input: [
      {
        role: "user",
        content: [
          { type: "input_text", text: "a" },
          { type: "input_image", image_url: "https://a.b/c.png" },
        ],
      },
      { type: "reasoning", id: "rs_1", summary: [] },
      { type: "function_call", call_id: "c", name: "f", arguments: "{}" },
      { type: "function_call_output", call_id: "c", output: [{ type: "input_text", text: "x" }] },
    ],
  });
  const places = [
    ["messages[0].parts[0].text", "instructions.text"],
    ["messages[1].parts[1].image.url", "input[0].content[1].image_url"],
    ["messages[1]", "input[0]"],
    ["messages", "input"],
    ["messages[2].parts[0]", "input[1]"],
    ["messages[2].parts[1].tool_call", "input[2]"],
    ["messages[3].parts[0].tool_result.content[0].cache", "input[3].output[0].prompt_cache_breakpoint"],
    ["sampling.top_p", "top_p"],
    ["reasoning.display", "reasoning.summary"],
  ] as const;
  for (const [path, place] of places) expect(clientPath?.(path)).toBe(place);
});

test("an output that answers no call is refused; one of a program's own call is kept as it is", () => {
  const outputOf = (item: object) => () =>
    read({
      input: [
        { role: "user", content: "hi" },
        { output: "x", ...item },
      ],
    });
  expect(outputOf({ type: "function_call_output" })).toThrow("input[1].call_id");
  expect(outputOf({ type: "custom_tool_call_output", name: "f" })).toThrow("input[1].call_id");
  const ofProgram = { type: "function_call_output", name: "f", caller: { type: "program" } };
  expect(outputOf(ofProgram)().generate.messages[1]?.parts[0]?.part).toMatchObject({ case: "opaque", value: { type: ofProgram.type } });
});

test("counting reads the same request and answers in the vendor's form", () => {
  expect(openAiInputTokensDialect.readRequest(parseJson('{"model":"m","input":"hi"}')).generate.messages).toHaveLength(1);
});
