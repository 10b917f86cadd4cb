import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import {
  type GenerateRequest,
  GenerateRequestSchema,
  OutputKind,
  type PartSchema,
  ReasoningMode,
  Role,
  ToolChoiceMode,
  ToolKind,
} from "../../../gen/dragoman/v1/generate_pb.ts";
import { TranslationAction } from "../../../gen/dragoman/v1/usage_pb.ts";
import { createOpenAiChatCodec, openAiChatDialect as dialect, type OpenAiChatQuirks } from "../../../src/codecs/openai-chat/index.ts";
import { GatewayError } from "../../../src/core/error.ts";
import { Fold } from "../../../src/core/fold.ts";
import { parseJson } from "../../../src/core/json.ts";
import type { ModelTraits } from "../../../src/core/target.ts";

interface Written {
  body: Record<string, unknown>;
  text: string;
  notes: string[];
  state: unknown;
  settle: (strict?: boolean) => void;
}

function write(
  init: MessageInitShape<typeof GenerateRequestSchema> | GenerateRequest,
  quirks: OpenAiChatQuirks = {},
  traits: ModelTraits = {},
  stream = false,
): Written {
  const target = { id: "p/m", provider: "p", model: "m", traits };
  const { body, report, state } = createOpenAiChatCodec(quirks).writeRequest(create(GenerateRequestSchema, init), target, { stream });
  const actions = ["", "dropped", "coerced", "emulated", "defaulted"];
  const notes = report.notes.map(({ action, path }) => `${actions[action]} ${path}`);
  return { body: JSON.parse(body), text: body, notes, state, settle: (strict = false) => report.settle(strict) };
}

type PartInit = Exclude<MessageInitShape<typeof PartSchema>, { $typeName: "dragoman.v1.Part" }>;
const part = (init: NonNullable<PartInit["part"]>, more: Omit<PartInit, "part"> = {}): PartInit => ({ part: init, ...more });
const text = (value: string): PartInit => part({ case: "text", value });
const user = (value = "Hi JSON") => ({ role: Role.USER, parts: [text(value)] });
const call = (id: string, more: object = {}): PartInit =>
  part({ case: "toolCall", value: { id, name: "f", argumentsJson: "{}", ...more } });
const result = (toolCallId: string, more: object = {}): PartInit =>
  part({ case: "toolResult", value: { toolCallId, content: [text("ok")], ...more } });
const image = (source: { case: "url"; value: string } | { case: "data"; value: Uint8Array }, mimeType = ""): PartInit =>
  part({ case: "image", value: { source, mimeType } });
const fn = (name: string, more: object = {}) =>
  ({ tool: { case: "function", value: { name, parametersJson: '{"b":1,"a":9007199254740993}', ...more } } }) as const;
const refusals = (run: () => void) => {
  try {
    run();
  } catch (error) {
    if (error instanceof GatewayError && error.reason === "untranslatable") return error.details.fields?.map(({ field }) => field);
    throw error;
  }
  return [];
};

/** The same request through the dialect: what a client of this format gets sent upstream. */
const forward = (body: object | string, quirks: OpenAiChatQuirks = {}, stream = false) =>
  write(dialect.readRequest(parseJson(typeof body === "string" ? body : JSON.stringify(body))).generate, quirks, {}, stream);

describe("same format", () => {
  test("a request with everything goes out as it came in", () => {
    const body = {
      model: "m",
      messages: [
        { role: "system", content: "Be brief.", name: "sys" },
        {
          role: "developer",
          content: [
            { type: "text", text: "a" },
            { type: "text", text: "b", prompt_cache_breakpoint: { mode: "explicit", ttl: "12h" } },
          ],
        },
        {
          role: "user",
          content: [
            { type: "text", text: "What is this?", custom_part_field: 1 },
            { type: "image_url", image_url: { url: "https://example.org/a.png", detail: "low", sharp: true } },
            { type: "image_url", image_url: { url: "data:image/gif;base64,R0lGODlhAQ==" } },
            { type: "input_audio", input_audio: { data: "UklGRgAAAABXQVZF", format: "wav" } },
            { type: "file", file: { filename: "a.pdf", file_data: "data:application/pdf;base64,JVBERi0=" } },
            { type: "file", file: { file_id: "file-1" } },
            { type: "video_url", video_url: { url: "https://example.org/v" } },
          ],
        },
        {
          role: "assistant",
          content: null,
          tool_calls: [
            { id: "a", type: "function", function: { name: "f", arguments: '{ "x": 1 }' } },
            { id: "b", type: "custom", custom: { name: "c", input: "i" } },
          ],
          message_field: {},
        },
        { role: "tool", tool_call_id: "a", content: "1" },
        {
          role: "tool",
          tool_call_id: "b",
          content: [
            { type: "text", text: "2" },
            { type: "text", text: "3" },
          ],
        },
        {
          role: "assistant",
          content: "No.",
          refusal: "I refuse",
          annotations: [{ type: "url_citation", url_citation: { end_index: 2, start_index: 0, title: "T", url: "https://t" } }],
        },
        { role: "assistant", content: null, audio: { id: "audio_1" } },
        { role: "user", content: "" },
      ],
      tools: [
        {
          type: "function",
          function: {
            name: "f",
            description: "d",
            parameters: { type: "object", $schema: "s", properties: { z: {}, a: {} } },
            strict: false,
            note: 1,
          },
        },
        {
          type: "custom",
          custom: { name: "c", description: "d", format: { type: "grammar", grammar: { definition: "start: X", syntax: "lark" } } },
        },
        { type: "builtin_function", function: { name: "$web_search" } },
      ],
      tool_choice: {
        type: "allowed_tools",
        allowed_tools: {
          mode: "auto",
          tools: [
            { type: "function", function: { name: "f" } },
            { type: "custom", custom: { name: "c" } },
          ],
        },
      },
      parallel_tool_calls: false,
      max_completion_tokens: 100,
      temperature: 0.5,
      top_p: 0.9,
      frequency_penalty: 1,
      presence_penalty: -1,
      stop: ["a", "b"],
      seed: 42,
      n: 2,
      logprobs: true,
      top_logprobs: 3,
      logit_bias: { "5": 1.5 },
      response_format: { type: "json_schema", json_schema: { name: "r", description: "d", schema: { type: "object" }, strict: true } },
      verbosity: "high",
      modalities: ["text", "audio"],
      audio: { voice: "alloy", format: "wav" },
      web_search_options: { search_context_size: "low" },
      reasoning_effort: "high",
      metadata: { k: "v" },
      store: true,
      service_tier: "priority",
      prompt_cache_key: "key",
      prompt_cache_options: { ttl: "30m", mode: "explicit" },
      stream: true,
      stream_options: { include_usage: true, include_obfuscation: false },
      prediction: { type: "content", content: "x" },
      moderation: { model: "mod" },
    };
    const { body: written, notes, settle } = forward(body, {}, true);
    expect(written).toEqual(body);
    expect(notes).toEqual([]);
    expect(() => settle(true)).not.toThrow();
  });

  test("schemas and unknown fields keep big integers, key order and number forms to the letter", () => {
    const schema = '{"type":"object","10":1,"2":{"const":12345678901234567890},"a":-0.0}';
    const { text } = forward(
      `{"model":"m","messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f","parameters":${schema}}}],"big":98765432109876543210}`,
    );
    expect(text).toContain(`"parameters":${schema}`);
    expect(text).toContain('"big":98765432109876543210');
  });

  test("a refusal with fields of its own keeps its place, and they with it", () => {
    const refusal = { type: "refusal", refusal: "no", brand_new: { deep: [1] } };
    const message = { role: "assistant", content: [{ type: "text", text: "a" }, refusal] };
    const { generate } = dialect.readRequest({
      model: "m",
      messages: [{ role: "user", content: "x" }, message, { role: "user", content: "y" }],
    });
    const { body } = createOpenAiChatCodec().writeRequest(
      generate,
      { id: "p/m", provider: "p", model: "m", traits: {} },
      { stream: false },
    );
    expect(JSON.parse(body).messages[1]).toEqual(message);
  });

  test("what a client gets it can send back", () => {
    const codec = createOpenAiChatCodec();
    const reply =
      '{"choices":[{"index":0,"message":{"role":"assistant","content":"a","refusal":null,"annotations":[],"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}';
    const answer = new Fold().addAll(codec.readResponse(reply, "p")).response();
    const { choices } = JSON.parse(dialect.writeResponse(answer, { generationId: "g", created: 1 }));
    const { body, notes } = forward({
      model: "m",
      messages: [{ role: "user", content: "x" }, choices[0].message, { role: "tool", tool_call_id: "c", content: "r" }],
    });
    expect(body.messages).toMatchObject([{}, { role: "assistant", content: "a", tool_calls: [{ id: "c" }] }, { role: "tool" }]);
    expect(notes).toEqual([]);
  });

  test("the caller's stream options do not reach a request that is no stream, and usage is always asked for", () => {
    const body = { model: "m", messages: [{ role: "user", content: "x" }], stream: true, stream_options: { include_obfuscation: true } };
    expect(forward(body).body).not.toHaveProperty("stream_options");
    expect(forward(body, {}, true).body).toMatchObject({
      stream: true,
      stream_options: { include_usage: true, include_obfuscation: true },
    });
    expect(forward(body, { streamOptions: false }, true).body).not.toHaveProperty("stream_options");
    const smuggled = { messages: [user()], extrasJson: { "openai-chat": '{"stream":true,"model":"other"}' } };
    expect(write(smuggled).body).toMatchObject({ stream: false, model: "m" });
  });
});

describe("regrouping", () => {
  test("results of one turn become one message each, pictures in them follow as the user", () => {
    const { body, notes } = write({
      messages: [
        user(),
        { role: Role.ASSISTANT, parts: [call("a"), call("b")] },
        {
          role: Role.USER,
          parts: [
            result("a", { content: [text("1"), image({ case: "url", value: "https://x" })] }),
            result("b", { isError: true }),
            text("next"),
          ],
        },
      ],
    });
    expect(body.messages).toEqual([
      { role: "user", content: "Hi JSON" },
      { role: "assistant", content: null, tool_calls: [expect.objectContaining({ id: "a" }), expect.objectContaining({ id: "b" })] },
      { role: "tool", tool_call_id: "a", content: "1" },
      { role: "tool", tool_call_id: "b", content: "Error: ok" },
      {
        role: "user",
        content: [
          { type: "image_url", image_url: { url: "https://x" } },
          { type: "text", text: "next" },
        ],
      },
    ]);
    expect(notes).toEqual(["emulated messages[2].parts[0].tool_result.content[1]", "emulated messages[2].parts[1].tool_result.is_error"]);
  });

  test("case 28: calls of one turn that stand in several messages are one message, as their results follow it", () => {
    const { body, notes } = write({
      messages: [
        user(),
        { role: Role.ASSISTANT, parts: [text("First.")] },
        { role: Role.ASSISTANT, parts: [text("Let me see."), call("a")] },
        { role: Role.ASSISTANT, parts: [call("b")], extrasJson: { "openai-chat": '{"x":1}' } },
        { role: Role.USER, parts: [result("a"), result("b")] },
      ],
    });
    expect(body.messages).toEqual([
      { role: "user", content: "Hi JSON" },
      { role: "assistant", content: "First." },
      {
        role: "assistant",
        content: "Let me see.",
        tool_calls: [expect.objectContaining({ id: "a" }), expect.objectContaining({ id: "b" })],
        x: 1,
      },
      { role: "tool", tool_call_id: "a", content: "ok" },
      { role: "tool", tool_call_id: "b", content: "ok" },
    ]);
    expect(notes).toEqual([]);
  });

  test("a result that is JSON, media of an assistant, and a moved picture at the end", () => {
    const { body } = write({
      messages: [
        { role: Role.ASSISTANT, parts: [call("a"), image({ case: "url", value: "https://y" })] },
        { role: Role.TOOL, parts: [result("a", { content: [], resultJson: '{"z":1}' })] },
      ],
    });
    expect(body.messages).toEqual([
      { role: "assistant", content: null, tool_calls: [expect.anything()] },
      { role: "tool", tool_call_id: "a", content: '{"z":1}' },
      { role: "user", content: [{ type: "image_url", image_url: { url: "https://y" } }] },
    ]);
  });

  test("calls and results must pair, unless the server takes anything", () => {
    const messages = [
      { role: Role.ASSISTANT, parts: [call("a")] },
      { role: Role.TOOL, parts: [result("b")] },
    ];
    expect(refusals(write({ messages }).settle)).toEqual([
      "messages[1].parts[0].tool_result.tool_call_id",
      "messages[0].parts[0].tool_call",
    ]);
    expect(refusals(write({ messages }, { unpairedToolCalls: true }).settle)).toEqual([]);
  });

  test("roles and later system messages as the target takes them", () => {
    const messages = [user(), { role: Role.DEVELOPER, parts: [text("d")] }];
    expect(write({ messages }).body.messages).toMatchObject([{}, { role: "developer" }]);
    expect(write({ messages }, { developerRole: false })).toMatchObject({ body: { messages: [{}, { role: "system" }] }, notes: [] });
    const early = write({ messages }, {}, { midSystem: false });
    expect(early.body.messages).toMatchObject([{}, { role: "user", content: expect.stringContaining("d") }]);
    expect(early.notes).toEqual(["emulated messages[1]"]);
  });

  test("ids that the server cannot take change alike on call and result", () => {
    const messages = [
      { role: Role.ASSISTANT, parts: [call("functions.Bash:0"), call("abcDEF123")] },
      { role: Role.TOOL, parts: [result("functions.Bash:0"), result("abcDEF123")] },
    ];
    const { body } = write({ messages }, { toolIdLength: 9 });
    const [assistant, first, second] = body.messages as { tool_calls?: { id: string }[]; tool_call_id?: string }[];
    expect(assistant?.tool_calls?.[0]?.id).toMatch(/^[a-z0-9]{9}$/);
    expect(first?.tool_call_id).toBe(assistant?.tool_calls?.[0]?.id);
    expect(second?.tool_call_id).toBe("abcDEF123");
    const long = write({
      messages: [
        { role: Role.ASSISTANT, parts: [call("x".repeat(90))] },
        { role: Role.TOOL, parts: [result("x".repeat(90))] },
      ],
    }).body.messages as typeof body.messages & { tool_call_id?: string }[];
    expect(long[1]?.tool_call_id).toHaveLength(40);
  });
});

describe("reasoning", () => {
  const thought = part({ case: "reasoning", value: { text: "hm" } });
  const signed = { ...thought, signature: { value: "s", format: "anthropic" } };
  const turn = (...parts: PartInit[]) => ({
    messages: [user(), { role: Role.ASSISTANT, parts: [...parts, call("a")] }, { role: Role.TOOL, parts: [result("a")] }],
  });

  test("goes back where the table says so, never where another kind of model signed it", () => {
    expect(write(turn(thought)).notes).toEqual(["dropped messages[1].parts[0]"]);
    expect(write(turn(thought), { reasoningField: "reasoning_content" }).body.messages).toMatchObject([
      {},
      { reasoning_content: "hm" },
      {},
    ]);
    expect(write(turn(thought), { reasoningField: "reasoning" }).body.messages).toMatchObject([{}, { reasoning: "hm" }, {}]);
    const foreign = write(turn(signed), { reasoningField: "reasoning_content" });
    expect(foreign.text).not.toContain("hm");
    expect(foreign.notes).toEqual(["dropped messages[1].parts[0]"]);
  });

  test("case 27: a server that requires it beside calls gets it", () => {
    const quirks = { reasoningField: "reasoning_content", reasoningRequired: true } as const;
    const { body, notes } = write(turn(), quirks);
    expect(body.messages).toMatchObject([{}, { reasoning_content: " " }, {}]);
    expect(notes).toEqual(["defaulted messages[1].parts[0]"]);
    expect(write(turn(thought), quirks).notes).toEqual([]);
  });

  test.each<[object, object, string | undefined, string[]]>([
    [{ effort: 7 }, {}, "max", []],
    [{ effort: 7 }, { efforts: ["low", "high"] }, "high", ["coerced reasoning.effort"]],
    [{ effort: 1 }, {}, "none", []],
    [{ mode: ReasoningMode.DISABLED }, {}, "none", []],
    [{ mode: ReasoningMode.ADAPTIVE }, {}, undefined, []],
    [{ mode: ReasoningMode.ENABLED }, {}, undefined, ["dropped reasoning.mode"]],
    [{ budgetTokens: 8000 }, {}, "medium", ["coerced reasoning.budget_tokens"]],
    [{ budgetTokens: 0 }, {}, "none", []],
    [{ effort: 4 }, { reasoning: "none" }, undefined, ["dropped reasoning"]],
    [{ budgetTokens: 0 }, { reasoning: "none" }, undefined, []],
    [
      { encrypted: true, display: 2, context: "auto" },
      {},
      undefined,
      ["dropped reasoning.display", "dropped reasoning.encrypted", "dropped reasoning.context"],
    ],
  ])("%j to a model with %j is %s", (reasoning, traits, effort, notes) => {
    const written = write({ messages: [user()], reasoning }, {}, traits);
    expect(written.body.reasoning_effort).toBe(effort);
    expect(written.notes).toEqual(notes);
  });
});

describe("what a server cannot take", () => {
  test("fields that the table refuses are left out and reported; strict mode refuses them all at once", () => {
    const request = {
      messages: [user()],
      sampling: { seed: 1n, topK: 3, temperature: 3, stop: ["a", "b", "c", "d", "e"] },
      metadata: { a: "b" },
    };
    const { body, notes, settle } = write(request, { refusedParameters: ["seed", "metadata"] });
    expect(body).toEqual({
      model: "m",
      messages: [{ role: "user", content: "Hi JSON" }],
      temperature: 2,
      stop: ["a", "b", "c", "d"],
      stream: false,
    });
    expect(notes).toEqual([
      "coerced sampling.temperature",
      "dropped sampling.top_k",
      "coerced sampling.stop",
      "dropped sampling.seed",
      "dropped metadata",
    ]);
    expect(() => settle()).not.toThrow();
    expect(refusals(() => settle(true))).toHaveLength(5);
  });

  test("names of fields by table", () => {
    const request = {
      messages: [user()],
      sampling: { maxOutputTokens: 5, topK: 3, minP: 0.1, repetitionPenalty: 1.1 },
      attribution: { endUserId: "u" },
    };
    expect(write(request).body).toMatchObject({ max_completion_tokens: 5 });
    expect(write(request).body).not.toHaveProperty("user");
    const quirks = { maxTokensField: "max_tokens", nativeFields: ["top_k", "min_p", "repetition_penalty"], sendUser: "user" } as const;
    expect(write(request, quirks)).toMatchObject({
      body: { max_tokens: 5, top_k: 3, min_p: 0.1, repetition_penalty: 1.1, user: "u" },
      notes: [],
    });
  });

  test("models without sampling get none; n of 1 is left out", () => {
    const sampling = { temperature: 1, topP: 1, candidateCount: 1, topLogprobs: 2 };
    const { body, notes } = write({ messages: [user()], sampling }, {}, { sampling: false });
    expect(body).toEqual({ model: "m", messages: [expect.anything()], logprobs: true, top_logprobs: 2, stream: false });
    expect(notes).toEqual(["dropped sampling.temperature", "dropped sampling.top_p"]);
  });

  test.each<[string, MessageInitShape<typeof GenerateRequestSchema>, OpenAiChatQuirks, ModelTraits]>([
    ["sampling.candidate_count", { messages: [user()], sampling: { candidateCount: 2 } }, { refusedParameters: ["n"] }, {}],
    [
      "messages[0].parts[0].video",
      { messages: [{ role: Role.USER, parts: [{ part: { case: "video", value: { source: { case: "url", value: "https://v" } } } }] }] },
      {},
      {},
    ],
    [
      "messages[0].parts[0].image.url",
      { messages: [{ role: Role.USER, parts: [image({ case: "url", value: "https://i" })] }] },
      { imageUrls: false },
      {},
    ],
    ["messages[0].parts[0].image.url", { messages: [{ role: Role.USER, parts: [image({ case: "url", value: "gs://i" })] }] }, {}, {}],
    ["messages[0].parts[0]", { messages: [{ role: Role.SYSTEM, parts: [image({ case: "url", value: "https://i" })] }] }, {}, {}],
    [
      "messages[0].parts[0].file.provider_file",
      {
        messages: [
          {
            role: Role.USER,
            parts: [{ part: { case: "file", value: { source: { case: "providerFile", value: { id: "f", provider: "other" } } } } }],
          },
        ],
      },
      {},
      {},
    ],
    ["output_format.modalities[0]", { messages: [user()], outputFormat: { modalities: [3] } }, {}, {}],
    ["output_format.grammar", { messages: [user()], outputFormat: { kind: OutputKind.GRAMMAR, grammar: { definition: "x" } } }, {}, {}],
    ["server_state.previous_id", { messages: [user()], serverState: { previousId: "r" } }, {}, {}],
    ["cache.content_id", { messages: [user()], cache: { contentId: "c" } }, {}, {}],
    ["messages[1]", { messages: [user(), { role: Role.ASSISTANT, parts: [text("pre")] }] }, {}, { prefill: false }],
  ])("%s is refused even outside strict mode", (path, request, quirks, traits) => {
    expect(refusals(write(request, quirks, traits).settle)).toEqual([path]);
  });

  test("unknown fields of other formats, opaque parts and hosted tools of other formats are reported", () => {
    const { notes, text: written } = write({
      messages: [
        {
          role: Role.USER,
          parts: [text("x"), { part: { case: "opaque", value: { format: "gemini", type: "t", dataJson: "{}" } } }],
          extrasJson: { "anthropic-messages": '{"a":1,"b":null}' },
        },
      ],
      tools: [{ tool: { case: "hosted", value: { kind: 1, format: "gemini", type: "googleSearch", configJson: '{"googleSearch":{}}' } } }],
      extrasJson: { gemini: '{"safetySettings":[]}' },
    });
    expect(notes).toEqual(["dropped messages[0].parts[1].opaque", "dropped messages[0].a", "dropped tools[0]", "dropped safetySettings"]);
    expect(written).not.toMatch(/safety|google/);
  });

  test("JSON text of an RPC client that is none is refused with its path, not sent", () => {
    const broken = () => write({ messages: [user()], tools: [fn("f", { parametersJson: '{}},"model":"x"' })] });
    expect(broken).toThrow(
      expect.objectContaining({
        reason: "invalid_request",
        details: { fields: [expect.objectContaining({ field: "tools[0].function.parameters_json" })] },
      }),
    );
  });
});

describe("tools and schemas by other means, undone in the answer", () => {
  const answer = (state: unknown, name: string, args: string) =>
    new Fold()
      .addAll(
        createOpenAiChatCodec().readResponse(
          JSON.stringify({
            choices: [
              {
                index: 0,
                message: { tool_calls: [{ id: "c", type: "function", function: { name, arguments: args } }] },
                finish_reason: "tool_calls",
              },
            ],
          }),
          "p",
          state,
        ),
      )
      .response().candidates[0];

  test("names that the API refuses", () => {
    const name = "files/read.text-Ü";
    const { body, state, notes } = write({
      messages: [user()],
      tools: [fn(name)],
      toolChoice: { mode: ToolChoiceMode.TOOL, toolName: name },
    });
    const [tool] = body.tools as { function: { name: string } }[];
    expect(tool?.function.name).toMatch(/^[a-zA-Z0-9_-]{1,64}$/);
    expect(body.tool_choice).toEqual({ type: "function", function: { name: tool?.function.name } });
    expect(notes).toEqual(["coerced tools[0].function.name"]);
    expect(answer(state, tool?.function.name ?? "", "{}")?.message?.parts[0]?.part.value).toMatchObject({ name });
  });

  test("free-text tools as functions", () => {
    const tools = [{ tool: { case: "custom", value: { name: "sql", description: "d" } } as const }];
    const messages = [
      user(),
      { role: Role.ASSISTANT, parts: [call("a", { name: "sql", kind: ToolKind.CUSTOM, inputText: 'SELECT "1"', argumentsJson: "" })] },
      { role: Role.TOOL, parts: [result("a")] },
    ];
    const { body, state } = write({ messages, tools }, { customTools: false });
    expect(body.tools).toMatchObject([{ type: "function", function: { name: "sql", parameters: { required: ["input"] } } }]);
    expect(body.messages).toMatchObject([{}, { tool_calls: [{ function: { arguments: '{"input":"SELECT \\"1\\""}' } }] }, {}]);
    expect(answer(state, "sql", '{"input":"SELECT 2"}')?.message?.parts[0]?.part.value).toMatchObject({
      kind: ToolKind.CUSTOM,
      inputText: "SELECT 2",
    });
  });

  test("a schema as a forced tool whose arguments are the answer; beside tools an instruction", () => {
    const outputFormat = { kind: OutputKind.JSON_SCHEMA, schemaJson: '{"type":"object"}' };
    const { body, state, notes } = write({ messages: [user()], outputFormat }, { jsonSchema: false });
    const [tool] = body.tools as { function: { name: string; parameters: object } }[];
    expect(tool?.function.parameters).toEqual({ type: "object" });
    expect(body).not.toHaveProperty("response_format");
    expect(notes).toEqual(["emulated output_format.schema_json"]);
    const candidate = answer(state, tool?.function.name ?? "", '{"a":1}');
    expect(candidate?.message?.parts.map(({ part }) => part)).toEqual([{ case: "text", value: '{"a":1}' }]);
    expect(candidate?.finished).toMatchObject({ reason: 1 });
    const beside = write({ messages: [user()], tools: [fn("f")], outputFormat }, { jsonSchema: false });
    expect(beside.body).toMatchObject({
      response_format: { type: "json_object" },
      messages: [{ role: "system", content: expect.stringContaining('{"type":"object"}') }, {}],
    });
  });

  test("JSON mode names JSON in a message; a schema gets the name that the API requires", () => {
    expect(write({ messages: [user("x")], outputFormat: { kind: OutputKind.JSON_OBJECT } })).toMatchObject({
      notes: ["emulated output_format.kind"],
      body: { messages: [{ role: "system" }, {}] },
    });
    expect(write({ messages: [user()], outputFormat: { kind: OutputKind.JSON_OBJECT } }).notes).toEqual([]);
    const named = write({ messages: [user()], outputFormat: { kind: OutputKind.JSON_SCHEMA, schemaJson: "{}" } });
    expect(named).toMatchObject({
      notes: ["defaulted output_format.name"],
      body: { response_format: { json_schema: { name: "response", schema: {} } } },
    });
    expect(() => named.settle(true)).not.toThrow();
  });

  test("allowed tools by leaving the others out; choices without tools", () => {
    const toolChoice = { mode: ToolChoiceMode.REQUIRED, allowedTools: ["b"], parallel: false };
    const { body, notes } = write({ messages: [user()], tools: [fn("a"), fn("b")], toolChoice }, { allowedTools: false });
    expect(body).toMatchObject({ tools: [{ function: { name: "b" } }], tool_choice: "required", parallel_tool_calls: false });
    expect(notes).toEqual(["emulated tool_choice.allowed_tools"]);
    const without = write({ messages: [user()], toolChoice: { mode: ToolChoiceMode.REQUIRED, parallel: false } });
    expect(without.notes).toEqual(["dropped tool_choice"]);
    expect(without.body).not.toHaveProperty("parallel_tool_calls");
  });
});

test("at most four cache markers: the last of system, then the latest; lifetimes go up", () => {
  const marked = (value: string, ttlSeconds = 300) => ({ ...text(value), cache: { ttlSeconds } });
  const messages = [
    { role: Role.SYSTEM, parts: [marked("s1"), marked("s2")] },
    { role: Role.USER, parts: ["a", "b", "c", "d"].map((value) => marked(value)) },
  ];
  const { body, notes } = write({ messages, tools: [{ ...fn("f"), cache: {} }] });
  const texts = JSON.stringify(body).match(/"text":"\w+","prompt_cache_breakpoint":\{"mode":"explicit","ttl":"30m"\}/g);
  expect(texts?.map((match) => match.slice(8, 10).replace('"', ""))).toEqual(["s2", "b", "c", "d"]);
  expect(notes.filter((note) => note.startsWith("dropped"))).toEqual([
    "dropped tools[0].cache",
    "dropped messages[1].parts[0].cache",
    "dropped messages[0].parts[0].cache",
  ]);
  const anthropic = write(
    { messages: [{ role: Role.USER, parts: [marked("a", 3600)] }], tools: [{ ...fn("f"), cache: {} }] },
    { cacheField: "cache_control" },
  );
  expect(anthropic).toMatchObject({
    notes: [],
    body: {
      messages: [{ content: [{ cache_control: { type: "ephemeral", ttl: "1h" } }] }],
      tools: [{ cache_control: { type: "ephemeral" } }],
    },
  });
  expect(TranslationAction.COERCED).toBe(2);
});

test("a Gemini signature goes to servers of Google only", () => {
  const messages = [
    { role: Role.ASSISTANT, parts: [{ ...call("a"), signature: { value: "s=", format: "gemini" } }] },
    { role: Role.TOOL, parts: [result("a")] },
  ];
  expect(write({ messages }).notes).toEqual(["dropped messages[0].parts[0].signature"]);
  expect(write({ messages }, { googleSignatures: true }).body.messages).toMatchObject([
    { tool_calls: [{ extra_content: { google: { thought_signature: "s=" } } }] },
    {},
  ]);
});

test("a picture whose bytes are something else keeps its type: the service says what is wrong", () => {
  const wav = Buffer.from("RIFF0000WAVEfmt ");
  const { body, notes } = write({ messages: [{ role: Role.USER, parts: [image({ case: "data", value: wav }, "image/png")] }] });
  expect(body.messages).toMatchObject([{ content: [{ image_url: { url: expect.stringMatching(/^data:image\/png;/) } }] }]);
  expect(notes).toEqual([]);
});

test("pictures by data get the type that their bytes show", () => {
  const gif = Buffer.from("R0lGODlhAQ==", "base64");
  const { body, notes } = write({ messages: [{ role: Role.USER, parts: [image({ case: "data", value: gif }, "image/png")] }] });
  expect(body.messages).toMatchObject([{ content: [{ image_url: { url: "data:image/gif;base64,R0lGODlhAQ==" } }] }]);
  expect(notes).toEqual(["coerced messages[0].parts[0].image.mime_type"]);
});
