import { describe, expect, test } from "vitest";
import { ServiceTier } from "../../../gen/dragoman/v1/call_pb.ts";
import {
  MediaDetail,
  OutputKind,
  ReasoningEffort,
  ReasoningMode,
  Role,
  ToolChoiceMode,
  ToolKind,
} from "../../../gen/dragoman/v1/generate_pb.ts";
import { createCohereChatCodec } from "../../../src/codecs/cohere-chat/index.ts";
import { CallState } from "../../../src/core/call-state.ts";
import { Fold } from "../../../src/core/fold.ts";
import {
  assistant,
  call,
  media,
  opaque,
  type RequestInit,
  reasoning,
  request,
  result,
  system,
  text,
  tool,
  user,
  write,
  writeMessage,
} from "./written.ts";

const png = new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
const toolTurn = { role: Role.TOOL };

describe("the smallest request", () => {
  test("says what was said and nothing else", () => {
    const { json, path, notes, headers } = write({});
    expect(json).toEqual({ model: "command-x", messages: [{ role: "user", content: "hi" }], stream: false });
    expect({ path, notes, headers }).toEqual({ path: "/v2/chat", notes: [], headers: {} });
    expect(write({}, {}, true).json.stream).toBe(true);
  });
});

describe("messages", () => {
  test("instructions stay where they are; developers are the system", () => {
    const { json, notes } = write({
      messages: [system("a", "b"), user("u"), { role: Role.DEVELOPER, parts: [text("late")] }, assistant("ok"), user("go")],
    });
    expect(json.messages).toEqual([
      {
        role: "system",
        content: [
          { type: "text", text: "a" },
          { type: "text", text: "b" },
        ],
      },
      { role: "user", content: "u" },
      { role: "system", content: "late" },
      { role: "assistant", content: "ok" },
      { role: "user", content: "go" },
    ]);
    expect(notes).toEqual([]);
  });

  test("instructions alone: the last is a user's", () => {
    const { json, notes } = write({ messages: [system("a"), system("b")] });
    expect(json.messages).toEqual([
      { role: "system", content: "a" },
      { role: "user", content: "b" },
    ]);
    expect(notes).toEqual(["EMULATED messages[1]"]);
  });

  test("results: one message each, right after their calls, in the calls' order; empty arguments are an object", () => {
    const { json, refused } = write({
      messages: [
        user("u"),
        assistant("both", call("a", "f", "")),
        assistant(call("b", "g", "not json")),
        system("between"),
        { ...toolTurn, parts: [result("b", "two")] },
        user(result("a", '{"x":1}'), "thanks"),
      ],
    });
    expect(refused).toEqual([]);
    expect(json.messages.slice(1)).toEqual([
      {
        role: "assistant",
        content: "both",
        tool_calls: [
          { id: "a", type: "function", function: { name: "f", arguments: "{}" } },
          { id: "b", type: "function", function: { name: "g", arguments: "not json" } },
        ],
      },
      { role: "tool", tool_call_id: "a", content: '{"x":1}' },
      { role: "tool", tool_call_id: "b", content: "two" },
      { role: "system", content: "between" },
      { role: "user", content: "thanks" },
    ]);
  });

  test("what a result may hold: documents inside, images after all results, errors by a word", () => {
    const document = media("file", { source: { case: "data", value: Buffer.from("grün") }, mimeType: "text/plain", filename: "a.txt" });
    const image = media("image", { source: { case: "url", value: "https://example.com/i.png" } });
    const { json, notes } = write({
      messages: [
        user("u"),
        assistant(call("a"), call("b")),
        { ...toolTurn, parts: [result("a", "", { content: [text("see"), document, image] }), result("b", "broken", { isError: true })] },
      ],
    });
    expect(json.messages.slice(2)).toEqual([
      {
        role: "tool",
        tool_call_id: "a",
        content: [
          { type: "text", text: "see" },
          { type: "document", document: { data: { title: "a.txt", text: "grün" } } },
        ],
      },
      { role: "tool", tool_call_id: "b", content: "Error: broken" },
      { role: "user", content: [{ type: "image_url", image_url: { url: "https://example.com/i.png" } }] },
    ]);
    expect(notes).toEqual(["EMULATED messages[2].parts[0].tool_result.content[2]", "EMULATED messages[2].parts[1].tool_result.is_error"]);
  });

  test("calls and results without each other, and an assistant last, are refused with their place", () => {
    expect(write({ messages: [user("u"), assistant(call("a")), user("b")] }).refused).toEqual(["messages[1].parts[0]"]);
    expect(write({ messages: [user("u"), user(result("x", "y"))] }).refused).toEqual(["messages[1].parts[0]"]);
    expect(write({ messages: [user("u"), assistant("pre")] }).refused).toEqual(["messages[1]"]);
    expect(write({ messages: [user("u"), assistant("pre")] }, { prefill: true }).refused).toEqual([]);
    expect(write({ messages: [user("")] }).refused).toEqual(["messages"]);
    expect(write({ messages: [system(media("image", { source: { case: "url", value: "https://e.x/i" } })), user("u")] }).refused).toEqual([
      "messages[0].parts[0]",
    ]);
  });
});

describe("parts", () => {
  test("images: data by what it is, addresses as they are, detail in the API's words", () => {
    const images = [
      media("image", { source: { case: "data", value: png }, mimeType: "image/jpeg", detail: MediaDetail.LOW }),
      media("image", { source: { case: "url", value: "https://example.com/i" }, detail: MediaDetail.ORIGINAL }),
    ];
    const { json, notes } = write({ messages: [user("see", ...images)] });
    expect(json.messages[0]?.content?.slice(1)).toEqual([
      { type: "image_url", image_url: { url: `data:image/png;base64,${Buffer.from(png).toString("base64")}`, detail: "low" } },
      { type: "image_url", image_url: { url: "https://example.com/i", detail: "high" } },
    ]);
    expect(notes).toEqual(["COERCED messages[0].parts[1].image.mime_type", "COERCED messages[0].parts[2].image.detail"]);
  });

  test("documents of a user go beside the conversation; what is no text is refused", () => {
    const file = (value: Uint8Array, mimeType: string, more: object = {}) =>
      media("file", { source: { case: "data", value }, mimeType, ...more });
    const { json, notes } = write({
      messages: [
        user("read", file(Buffer.from("# T"), "text/markdown", { filename: "t.md" }), file(Buffer.from("{}"), "application/json")),
      ],
    });
    expect(json.messages).toEqual([{ role: "user", content: "read" }]);
    expect(json.documents).toEqual([{ data: { title: "t.md", text: "# T" } }, { data: { text: "{}" } }]);
    expect(notes).toEqual(["EMULATED messages[0].parts[1]", "EMULATED messages[0].parts[2]"]);
    const refused = [
      file(Buffer.from("%PDF-1.7"), "application/pdf"),
      file(Uint8Array.from([0xff]), "text/plain"),
      media("file", { source: { case: "url", value: "https://example.com/a.txt" }, mimeType: "text/plain" }),
      media("audio", { source: { case: "data", value: Buffer.from("x") } }),
      media("video", { source: { case: "url", value: "https://example.com/v" } }),
      media("image", { source: { case: "providerFile", value: { id: "f" } } }),
      media("image", { source: { case: "url", value: "gs://b/i" } }),
    ];
    for (const part of refused)
      expect(write({ messages: [user("u", part)] }).refused).toEqual([
        expect.stringMatching(/^messages\[0\]\.parts\[1\](?:\.(?:image|file))?$/),
      ]);
  });

  test("earlier thoughts go back as thoughts, those of other vendors do not", () => {
    const messages = [
      user("u"),
      assistant(reasoning("mine"), reasoning("theirs", { value: "s", format: "anthropic", provider: "" }), "said"),
      user("go"),
    ];
    const { json, notes } = write({ messages });
    expect(json.messages[1]?.content).toEqual([
      { type: "thinking", thinking: "mine" },
      { type: "text", text: "said" },
    ]);
    expect(notes).toEqual(["DROPPED messages[1].parts[1]"]);
    expect(write({ messages }, { reasoning: "none" }).json.messages[1]).toEqual({ role: "assistant", content: "said" });
  });

  test("a plan goes back as the plan, also what a model that only plans is told", () => {
    const plan = { ...(reasoning("I plan") as object), extrasJson: { "cohere-chat": '{"tool_plan":true}' } } as ReturnType<
      typeof reasoning
    >;
    const turn = (part: typeof plan) => [user("u"), assistant(part, call("a")), user(result("a", "r"))];
    expect(write({ messages: turn(plan) }).json.messages[1]).toMatchObject({
      role: "assistant",
      tool_plan: "I plan",
      tool_calls: [{ id: "a" }],
    });
    expect(write({ messages: turn(plan) }).json.messages[1]).not.toHaveProperty("content");
    expect(write({ messages: turn(reasoning("so")) }, { reasoning: "none" }).json.messages[1]).toMatchObject({ tool_plan: "so" });
  });

  test("refusals are text; blocks of this format go back, others do not; marks and names are told", () => {
    const { json, notes } = write({
      messages: [
        { role: Role.USER, name: "ann", parts: [text("u", { cache: {} })] },
        assistant(
          { part: { case: "refusal", value: "no" } } as never,
          opaque("image", { type: "image", url: "u" }, "cohere-chat"),
          opaque("web_search_call", { id: "w" }, "openai-responses"),
        ),
        user("go"),
      ] as RequestInit["messages"] & object,
    });
    expect(json.messages[1]?.content).toEqual([
      { type: "text", text: "no" },
      { type: "image", url: "u" },
    ]);
    expect(notes).toEqual([
      "DROPPED messages[0].name",
      "DROPPED messages[0].parts[0].cache",
      "EMULATED messages[1].parts[0]",
      "DROPPED messages[1].parts[2]",
    ]);
  });

  test("an assistant's images move to the next user", () => {
    const image = media("image", { source: { case: "url", value: "https://example.com/i" } });
    const { json, notes } = write({ messages: [user("u"), assistant("here", image), user("nice")] });
    expect(json.messages.slice(1)).toEqual([
      { role: "assistant", content: "here" },
      { role: "user", content: [{ type: "image_url", image_url: { url: "https://example.com/i" } }] },
      { role: "user", content: "nice" },
    ]);
    expect(notes).toEqual(["EMULATED messages[1].parts[1]"]);
  });

  test("an answer's parts can be sent back unchanged, citations too", () => {
    const citations = [
      {
        start: 0,
        end: 2,
        text: "ab",
        sources: [
          { type: "document", id: "d1" },
          { type: "tool", id: "t:0", tool_output: { n: 9007199254740993n.toString() } },
        ],
        content_index: 1,
        type: "TEXT_CONTENT",
      },
      { start: 2, end: 3, text: "c", sources: [], content_index: 1, type: "TEXT_CONTENT" },
    ];
    const message = {
      role: "assistant",
      content: [
        { type: "thinking", thinking: "hm" },
        { type: "text", text: "abc" },
      ],
      tool_plan: "plan",
      tool_calls: [{ id: "a", type: "function", function: { name: "f", arguments: '{"x": 1}' } }],
      citations,
    };
    const events = createCohereChatCodec().readResponse(JSON.stringify({ id: "1", finish_reason: "TOOL_CALL", message }), "cohere");
    const answered = new Fold().addAll(events).response().candidates[0]?.message;
    const sent = writeMessage(request({ messages: [user("u"), answered as never, user(result("a", "r"))] }));
    expect(sent.json.messages[1]).toEqual(message);
    expect(sent.notes).toEqual([]);
  });
});

describe("tools", () => {
  const parametersJson = '{"type":"object","properties":{"b":{"type":"string"},"a":{"type":"integer","maximum":9007199254740993}}}';

  test("schemas to the letter; none is an open object; strict for all or none", () => {
    const { body, json } = write({ tools: [tool("f", parametersJson, { description: "does" }), tool("g")] });
    expect(body).toContain(parametersJson);
    expect(json.tools?.[1]).toEqual({ type: "function", function: { name: "g", parameters: { type: "object", properties: {} } } });
    expect(write({ tools: [tool("f", "", { strict: true })] }).json.strict_tools).toBe(true);
    const mixed = write({ tools: [tool("f", "", { strict: true }), tool("g")] });
    expect(mixed.json).not.toHaveProperty("strict_tools");
    expect(mixed.notes).toEqual(["COERCED tools[0].function.strict"]);
  });

  test("names that the API does not take, and free-text tools, are undone in the answer", () => {
    const custom = { tool: { case: "custom" as const, value: { name: "note-it", grammar: { syntax: "regex", definition: "a+" } } } };
    const { json, state, notes } = write({
      tools: [custom],
      messages: [user("u"), assistant(call("a", "note-it", "", { kind: ToolKind.CUSTOM, inputText: "aa" })), user(result("a", "ok"))],
    });
    const declared = json.tools?.[0]?.function ?? {};
    expect(declared.name).toMatch(/^note_it_[0-9a-f]{8}$/);
    expect(declared.parameters).toMatchObject({ properties: { input: { type: "string" } }, required: ["input"] });
    expect(json.messages[1]?.tool_calls?.[0]?.function).toEqual({ name: declared.name, arguments: '{"input":"aa"}' });
    expect(state).toBeInstanceOf(CallState);
    expect((state as CallState).originalName(String(declared.name))).toBe("note-it");
    expect(notes).toEqual(["EMULATED messages[1].parts[0]", "EMULATED tools[0].custom", "COERCED tools[0].custom.name"]);
  });

  test.each<[object, object, string[]]>([
    [{ mode: ToolChoiceMode.AUTO }, { tools: 2, choice: undefined }, []],
    [{ mode: ToolChoiceMode.NONE }, { tools: 2, choice: "NONE" }, []],
    [{ mode: ToolChoiceMode.REQUIRED }, { tools: 2, choice: "REQUIRED" }, []],
    [{ mode: ToolChoiceMode.TOOL, toolName: "g" }, { tools: 1, choice: "REQUIRED" }, ["EMULATED tool_choice.tool_name"]],
    [{ mode: ToolChoiceMode.AUTO, allowedTools: ["f"] }, { tools: 1, choice: undefined }, ["EMULATED tool_choice.allowed_tools"]],
    [{ mode: ToolChoiceMode.AUTO, parallel: false }, { tools: 2, choice: undefined }, ["DROPPED tool_choice.parallel"]],
    [{ mode: ToolChoiceMode.AUTO, parallel: true }, { tools: 2, choice: undefined }, []],
  ])("choice %j", (toolChoice, { tools, choice }: { tools?: number; choice?: string }, notes) => {
    const written = write({ tools: [tool("f"), tool("g")], toolChoice });
    expect(written.json.tools).toHaveLength(tools ?? 0);
    expect(written.json.tool_choice).toBe(choice);
    expect(written.notes).toEqual(notes);
  });

  test("a choice without tools is left out; provider-run tools of others too", () => {
    const none = write({ toolChoice: { mode: ToolChoiceMode.REQUIRED } });
    expect(none.json).not.toHaveProperty("tool_choice");
    expect(none.notes).toEqual(["DROPPED tool_choice.mode"]);
    const hosted = { tool: { case: "hosted" as const, value: { format: "gemini", type: "googleSearch" } } };
    expect(write({ tools: [hosted] }).notes).toEqual(["DROPPED tools[0].hosted"]);
  });
});

describe("settings", () => {
  test("sampling in the API's words and ranges", () => {
    const sampling = {
      maxOutputTokens: 9,
      temperature: 1.5,
      topP: 1,
      topK: 501,
      frequencyPenalty: -0.5,
      presencePenalty: 2,
      seed: 7n,
      logprobs: true,
    };
    const { json, notes } = write({ sampling: { ...sampling, stop: ["1", "2", "3", "4", "5", "6"], topLogprobs: 3, minP: 0.1 } });
    expect(json).toMatchObject({
      max_tokens: 9,
      temperature: 1.5,
      p: 0.99,
      k: 500,
      frequency_penalty: 0,
      presence_penalty: 1,
      seed: 7,
      logprobs: true,
      stop_sequences: ["1", "2", "3", "4", "5"],
    });
    expect(notes.sort()).toEqual(
      [
        "COERCED sampling.top_p",
        "COERCED sampling.top_k",
        "COERCED sampling.frequency_penalty",
        "COERCED sampling.presence_penalty",
        "COERCED sampling.stop",
        "DROPPED sampling.top_logprobs",
        "DROPPED sampling.min_p",
      ].sort(),
    );
    expect(write({ sampling: { topP: 0 } }).json.p).toBe(0.01);
    expect(write({ sampling: { candidateCount: 2 } }).refused).toEqual(["sampling.candidate_count"]);
    expect(write({ sampling: { candidateCount: 1 } }).notes).toEqual([]);
  });

  test.each<[object, object | undefined, string[]]>([
    [{ mode: ReasoningMode.DISABLED }, { type: "disabled" }, []],
    [{ effort: ReasoningEffort.NONE }, { type: "disabled" }, []],
    [{ budgetTokens: 0 }, { type: "disabled" }, []],
    [{ mode: ReasoningMode.ENABLED }, { type: "enabled" }, []],
    [{ mode: ReasoningMode.ENABLED, budgetTokens: 500 }, { type: "enabled", token_budget: 500 }, []],
    [{ mode: ReasoningMode.ADAPTIVE }, { type: "enabled" }, ["COERCED reasoning.mode"]],
    [{ effort: ReasoningEffort.LOW }, { type: "enabled", token_budget: 2048 }, ["COERCED reasoning.effort"]],
    [{}, undefined, []],
  ])("thinking %j", (wish, thinking, notes) => {
    const written = write({ reasoning: wish });
    expect(written.json.thinking).toEqual(thinking);
    expect(written.notes).toEqual(notes);
  });

  test("a model that does not think is not asked to", () => {
    const { json, notes } = write({ reasoning: { effort: ReasoningEffort.HIGH } }, { reasoning: "none" });
    expect(json).not.toHaveProperty("thinking");
    expect(notes).toEqual(["DROPPED reasoning"]);
    expect(write({ reasoning: { mode: ReasoningMode.DISABLED } }, { reasoning: "none" }).notes).toEqual([]);
  });

  const schemaJson = '{"type":"object","properties":{"z":{"type":"string"},"a":{"type":"string"}}}';
  const schema = { kind: OutputKind.JSON_SCHEMA, schemaJson };

  test("JSON by mode and by schema", () => {
    expect(write({ outputFormat: { kind: OutputKind.JSON_OBJECT } }).json.response_format).toEqual({ type: "json_object" });
    const { body, notes } = write({ outputFormat: schema });
    expect(body).toContain(`"response_format":{"type":"json_object","json_schema":${schemaJson}}`);
    expect(notes).toEqual([]);
  });

  test("beside tools or documents: an instruction, behind the others", () => {
    const { json, notes } = write({ messages: [system("s"), user("u")], tools: [tool("f")], outputFormat: schema });
    expect(json).not.toHaveProperty("response_format");
    expect(json.messages.map(({ role }) => role)).toEqual(["system", "system", "user"]);
    expect(json.messages[1]?.content).toContain(schemaJson);
    expect(notes).toEqual(["EMULATED output_format.schema_json"]);
    const documents = write({ outputFormat: { kind: OutputKind.JSON_OBJECT }, extrasJson: { "cohere-chat": '{"documents":["d"]}' } });
    expect(documents.json).not.toHaveProperty("response_format");
    expect(documents.notes).toEqual(["EMULATED output_format.kind"]);
  });

  test("by a tool where the model follows no schema, by an instruction where it thinks", () => {
    const { json, state } = write({ outputFormat: schema }, { structuredOutput: false });
    expect(json).toMatchObject({ tool_choice: "REQUIRED", tools: [{ function: { name: (state as CallState).schemaTool } }] });
    const thinking = write({ outputFormat: schema, reasoning: { mode: ReasoningMode.ENABLED } }, { structuredOutput: false });
    expect(thinking.json).not.toHaveProperty("tools");
    expect(thinking.json.messages[0]?.role).toBe("system");
  });

  test("grammars and other outputs than text are refused", () => {
    expect(write({ outputFormat: { kind: OutputKind.GRAMMAR, grammar: { syntax: "lark", definition: "a" } } }).refused).toEqual([
      "output_format.grammar",
    ]);
    expect(write({ outputFormat: { modalities: [1, 2] } }).refused).toEqual(["output_format.modalities[1]"]);
  });

  test("the API's own members come back under what is modelled, those of others are told", () => {
    const { json, notes } = write({
      extrasJson: { "cohere-chat": '{"safety_mode":"STRICT","citation_options":{"mode":"FAST"},"model":"other"}', gemini: '{"labels":1}' },
      serviceTier: ServiceTier.PRIORITY,
      metadata: { a: "b" },
      cache: { key: "k", automatic: true },
    });
    expect(json).toMatchObject({ model: "command-x", safety_mode: "STRICT", citation_options: { mode: "FAST" }, priority: 0 });
    expect(notes.sort()).toEqual(["DROPPED cache.key", "DROPPED labels", "DROPPED metadata"]);
    expect(write({ serviceTier: ServiceTier.FLEX }).notes).toEqual(["DROPPED service_tier"]);
    expect(write({ serverState: { previousId: "p" } }).refused).toEqual(["server_state.previous_id"]);
    expect(write({ serverState: { store: false } }).refused).toEqual([]);
  });
});
