import { describe, expect, test } from "vitest";
import { ServiceTier } from "../../../gen/dragoman/v1/call_pb.ts";
import {
  HostedToolKind,
  OutputKind,
  ReasoningDisplay,
  ReasoningEffort,
  ReasoningMode,
  ToolChoiceMode,
} from "../../../gen/dragoman/v1/generate_pb.ts";
import { createAnthropicMessagesCodec } from "../../../src/codecs/anthropic-messages/index.ts";
import type { CallState } from "../../../src/core/call-state.ts";
import { GatewayError } from "../../../src/core/error.ts";
import { problemsOf } from "./validity.ts";
import {
  assistant,
  call,
  opaque,
  type RequestInit,
  reasoning,
  result,
  resultPart,
  system,
  targetWith,
  text,
  user,
  type Written,
  write,
} from "./written.ts";

const filledIn = "DEFAULTED sampling.max_output_tokens";
const weather = {
  tool: { case: "function", value: { name: "weather", description: "Looks.", parametersJson: '{"type":"object"}' } },
} as const;
const ping = { tool: { case: "function", value: { name: "ping" } } } as const;

function strictFailure({ report }: Written): GatewayError {
  try {
    report.settle(true);
  } catch (error) {
    if (error instanceof GatewayError) return error;
  }
  throw new Error("was not refused");
}

describe("envelope", () => {
  test("the smallest request", () => {
    const written = write({ sampling: { maxOutputTokens: 5 } });
    expect(written.path).toBe("/v1/messages");
    expect(written.headers).toEqual({ "anthropic-version": "2023-06-01" });
    expect(written.body).toBe('{"model":"claude-x","max_tokens":5,"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]}');
    expect(written.notes).toEqual([]);
  });

  test("a stream is asked for", () => {
    expect(write({}, {}, {}, true).json.stream).toBe(true);
  });

  test("quirks name path, version, betas", () => {
    const { path, headers } = write({}, {}, { path: "/anthropic/messages", version: "2026-01-01", betas: ["a", "b"] });
    expect(path).toBe("/anthropic/messages");
    expect(headers).toEqual({ "anthropic-version": "2026-01-01", "anthropic-beta": "a,b" });
  });

  test("the end user is named only where the provider's table says so", () => {
    const attribution = { endUserId: "u-1" };
    expect(write({ attribution }).json.metadata).toBeUndefined();
    expect(write({ attribution }, {}, { sendsEndUserId: true }).json.metadata).toEqual({ user_id: "u-1" });
  });

  test.each([
    [ServiceTier.AUTO, { service_tier: "auto" }],
    [ServiceTier.STANDARD, { service_tier: "standard_only" }],
    [ServiceTier.FAST, { speed: "fast" }],
    [ServiceTier.FLEX, {}],
  ])("tier %i", (serviceTier, members) => {
    const { json, notes, headers } = write({ serviceTier });
    expect(json).toMatchObject(members);
    expect(notes.includes("DROPPED service_tier")).toBe(serviceTier === ServiceTier.FLEX);
    expect(headers["anthropic-beta"]).toBe(serviceTier === ServiceTier.FAST ? "fast-mode-2026-02-01" : undefined);
  });

  test("state between calls is refused, labels and cache keys are dropped", () => {
    const { refused, notes } = write({
      serverState: { previousId: "resp_1", conversationId: "c", store: true },
      metadata: { a: "b" },
      cache: { key: "k", contentId: "cachedContents/1" },
    });
    expect(refused).toEqual(["cache.content_id", "server_state.previous_id", "server_state.conversation_id", "server_state.store"]);
    expect(notes).toEqual([filledIn, "DROPPED cache.key", "DROPPED metadata"]);
  });

  test("not to store is what the API does", () => {
    expect(write({ serverState: { store: false } })).toMatchObject({ refused: [], notes: [filledIn] });
  });
});

describe("unknown fields", () => {
  test("of this format come back at every level, under the modelled ones", () => {
    const extras = (fields: string) => ({ "anthropic-messages": fields });
    const { json } = write({
      messages: [
        { ...user(text("hi", { extrasJson: extras('{"type":"mine","x":1}') })), extrasJson: extras('{"y":2}') },
        assistant(call("a", "f", "{}", {})),
        result("a", "1"),
      ],
      tools: [{ ...weather, extrasJson: extras('{"defer_loading":true,"name":"other"}') }],
      reasoning: { effort: ReasoningEffort.LOW },
      extrasJson: extras('{"container":"c","model":"other","output_config":{"effort":"max","novelty":1},"inference_geo":null}'),
    });
    expect(json.messages[0]).toEqual({ role: "user", content: [{ type: "text", text: "hi", x: 1 }], y: 2 });
    expect(json.tools?.[0]).toMatchObject({ name: "weather", defer_loading: true });
    expect(json).toMatchObject({ container: "c", model: "claude-x", output_config: { effort: "low", novelty: 1 }, inference_geo: null });
  });

  test("of other formats are named one by one, without their content", () => {
    const other = { "openai-chat": '{"prediction":{"content":"secret"},"moderation":null}' };
    const written = write({
      messages: [{ ...system(text("s", { extrasJson: { gemini: '{"g":1}' } })), extrasJson: other }, user("hi")],
      tools: [{ ...ping, extrasJson: other }],
      extrasJson: other,
    });
    expect(written.notes).toEqual([
      "DROPPED messages[0].parts[0].g",
      "DROPPED messages[0].prediction",
      "DROPPED tools[0].prediction",
      filledIn,
      "DROPPED prediction",
    ]);
    expect(JSON.stringify(written.report.notes)).not.toContain("secret");
    expect(written.body).not.toContain("prediction");
  });
});

describe("sampling", () => {
  test("is carried where the model takes it, clamped where it is too large", () => {
    const { json, notes } = write({ sampling: { maxOutputTokens: 9, temperature: 1.5, topK: 3 } });
    expect(json).toMatchObject({ max_tokens: 9, temperature: 1, top_k: 3 });
    expect(notes).toEqual(["COERCED sampling.temperature"]);
  });

  test("temperature is kept where the model takes one of two", () => {
    const sampling = { maxOutputTokens: 9, temperature: 0, topP: 0.5 };
    expect(write({ sampling })).toMatchObject({ json: { temperature: 0 }, notes: ["DROPPED sampling.top_p"] });
    expect(write({ sampling }, { temperatureWithTopP: true })).toMatchObject({ json: { temperature: 0, top_p: 0.5 }, notes: [] });
    expect(write({ sampling: { maxOutputTokens: 9, topP: 0.5 } })).toMatchObject({ json: { top_p: 0.5 }, notes: [] });
  });

  test("is dropped for models that refuse it; the default says nothing", () => {
    const sampling = { maxOutputTokens: 9, temperature: 0.2, topP: 0.5, topK: 3 };
    const { json, notes } = write({ sampling }, { sampling: false });
    expect([json.temperature, json.top_p, json.top_k]).toEqual([undefined, undefined, undefined]);
    expect(notes).toEqual(["DROPPED sampling.temperature", "DROPPED sampling.top_p", "DROPPED sampling.top_k"]);
    expect(write({ sampling: { maxOutputTokens: 9, temperature: 1, topP: 1 } }, { sampling: false }).notes).toEqual([]);
  });

  test("is dropped while the model thinks", () => {
    const { json, notes } = write({ sampling: { maxOutputTokens: 9, temperature: 0.2 }, reasoning: { mode: ReasoningMode.ADAPTIVE } });
    expect(json.temperature).toBeUndefined();
    expect(notes).toEqual(["DROPPED sampling.temperature"]);
  });

  test("case 38: stop texts of white space are left out", () => {
    const { json, notes } = write({ sampling: { maxOutputTokens: 9, stop: ["\n", "END", " "] } });
    expect(json.stop_sequences).toEqual(["END"]);
    expect(notes).toEqual(["DROPPED sampling.stop[0]", "DROPPED sampling.stop[2]"]);
    expect(write({ sampling: { stop: ["\n"] } }).json.stop_sequences).toBeUndefined();
  });

  test("max_tokens: the client's, 0 too; else the catalog's, else 4096", () => {
    expect(write({ sampling: { maxOutputTokens: 0 } }).json.max_tokens).toBe(0);
    expect(write({}, { maxOutputTokens: 64_000 })).toMatchObject({ json: { max_tokens: 64_000 }, notes: [filledIn] });
    const written = write({});
    expect(written).toMatchObject({ json: { max_tokens: 4096 }, notes: [filledIn] });
    written.report.settle(true); // a default is legal in strict mode
  });

  test("what the API does not have is dropped, what changes nothing is not named, several answers are refused", () => {
    const absent = {
      seed: 1n,
      frequencyPenalty: 1,
      presencePenalty: -1,
      logprobs: true,
      topLogprobs: 2,
      minP: 0.1,
      repetitionPenalty: 1.1,
    };
    const { notes } = write({ sampling: { maxOutputTokens: 9, ...absent, logitBias: { 5: 1 } } });
    const names = [
      "seed",
      "frequency_penalty",
      "presence_penalty",
      "repetition_penalty",
      "min_p",
      "logprobs",
      "top_logprobs",
      "logit_bias",
    ];
    expect(notes).toEqual(names.map((name) => `DROPPED sampling.${name}`));
    const neutral = { frequencyPenalty: 0, presencePenalty: 0, logprobs: false, candidateCount: 1, repetitionPenalty: 1 };
    expect(write({ sampling: { maxOutputTokens: 9, ...neutral } })).toMatchObject({ notes: [], refused: [] });
    expect(write({ sampling: { candidateCount: 2 } }).refused).toEqual(["sampling.candidate_count"]);
  });
});

describe("tools", () => {
  test("functions, with the client's own schema text", () => {
    const parametersJson = '{"type":"object", "properties":{"10":{},"9":{"maximum":12345678901234567890}}}';
    const { body, json } = write({
      tools: [weather, ping, { tool: { case: "function", value: { name: "n", parametersJson, strict: true } } }],
    });
    expect(json.tools?.slice(0, 2)).toEqual([
      { name: "weather", description: "Looks.", input_schema: { type: "object" } },
      { name: "ping", input_schema: { type: "object", properties: {} } },
    ]);
    expect(body).toContain(`"input_schema":${parametersJson},"strict":true`);
  });

  test("a schema without a type gets one", () => {
    const { json } = write({
      tools: ['{"properties":{"a":{}}}', "{}"].map((parametersJson) => ({
        tool: { case: "function", value: { name: "n", parametersJson } },
      })),
    } as RequestInit);
    expect(json.tools?.map(({ input_schema }) => input_schema)).toEqual([
      { type: "object", properties: { a: {} } },
      { type: "object", properties: {} },
    ]);
  });

  test("a schema that is no JSON object is the client's mistake, with its path", () => {
    const tool = { tool: { case: "function", value: { name: "n", parametersJson: "[]" } } } as const;
    expect(() => write({ tools: [ping, tool] })).toThrow("tools[1].function.parameters_json");
  });

  test("names are made legal, and the answer's are undone", () => {
    const long = "x".repeat(200);
    const written = write({
      messages: [user("x"), assistant(call("a", "shell.run")), result("a", "1")],
      tools: [{ tool: { case: "function", value: { name: "shell.run" } } }, { tool: { case: "function", value: { name: long } } }],
      toolChoice: { mode: ToolChoiceMode.TOOL, toolName: "shell.run" },
    });
    const [first, second] = written.json.tools?.map(({ name }) => String(name)) ?? [];
    expect(first).toMatch(/^shell_run_[0-9a-f]{8}$/);
    expect(second).toHaveLength(128);
    expect(written.json.messages[1]?.content[0]?.name).toBe(first);
    expect(written.json.tool_choice).toMatchObject({ name: first });
    expect(written.notes).toContain("COERCED tools[0].function.name");
    const state = written.state as CallState;
    expect(state.originalName(first ?? "")).toBe("shell.run");
    expect(state.originalName(second ?? "")).toBe(long);
    expect(problemsOf(written.json)).toEqual([]);
  });

  test("a free-text tool is a function with one argument", () => {
    const grammar = { syntax: "lark", definition: "start: WORD" };
    const written = write({ tools: [{ tool: { case: "custom", value: { name: "sql", description: "Runs.", grammar } } }] });
    expect(written.json.tools?.[0]).toMatchObject({
      name: "sql",
      input_schema: { type: "object", properties: { input: { type: "string" } }, required: ["input"] },
    });
    expect(written.json.tools?.[0]?.description).toContain("start: WORD");
    expect(written.notes).toContain("EMULATED tools[0].custom");
    expect((written.state as CallState).customTools.has("sql")).toBe(true);
  });

  test("hosted tools: this format's as they are, another's by kind, else dropped", () => {
    const own = {
      kind: HostedToolKind.COMPUTER,
      format: "anthropic-messages",
      type: "computer_20250124",
      configJson: '{"type":"computer_20250124","name":"computer","display_width_px":1}',
    };
    const { json, notes } = write({
      tools: [
        { tool: { case: "hosted", value: own } },
        { tool: { case: "hosted", value: { kind: HostedToolKind.WEB_SEARCH, format: "openai-responses", type: "web_search" } } },
        { tool: { case: "hosted", value: { kind: HostedToolKind.FILE_SEARCH, format: "openai-responses", type: "file_search" } } },
      ],
    });
    expect(json.tools).toEqual([
      { type: "computer_20250124", name: "computer", display_width_px: 1 },
      { type: "web_search_20250305", name: "web_search" },
    ]);
    expect(notes).toEqual(["EMULATED tools[1].hosted", "DROPPED tools[2].hosted", filledIn]);
  });

  test.each([
    [{ mode: ToolChoiceMode.AUTO }, { type: "auto" }],
    [{ mode: ToolChoiceMode.NONE, parallel: false }, { type: "none" }],
    [
      { mode: ToolChoiceMode.REQUIRED, parallel: false },
      { type: "any", disable_parallel_tool_use: true },
    ],
    [
      { mode: ToolChoiceMode.TOOL, toolName: "ping" },
      { type: "tool", name: "ping" },
    ],
    [{ parallel: false }, { type: "auto", disable_parallel_tool_use: true }],
    [{ parallel: true }, undefined],
  ])("choice %j", (toolChoice, wire) => {
    const { json, notes } = write({ tools: [ping], toolChoice });
    expect(json.tool_choice).toEqual(wire);
    expect(notes).toEqual([filledIn]);
  });

  test("a choice without tools is dropped", () => {
    const { json, notes } = write({ toolChoice: { mode: ToolChoiceMode.REQUIRED } });
    expect(json.tool_choice).toBeUndefined();
    expect(notes).toContain("DROPPED tool_choice.mode");
  });

  test("allowed tools: the others are left out", () => {
    const { json, notes } = write({ tools: [weather, ping], toolChoice: { mode: ToolChoiceMode.REQUIRED, allowedTools: ["ping"] } });
    expect(json.tools?.map(({ name }) => name)).toEqual(["ping"]);
    expect(notes).toContain("EMULATED tool_choice.allowed_tools");
  });

  test("case 35: a forced choice switches thinking off, or gives way where that cannot be", () => {
    const init = {
      tools: [ping],
      toolChoice: { mode: ToolChoiceMode.REQUIRED, parallel: false },
      reasoning: { mode: ReasoningMode.ADAPTIVE },
    };
    const off = write(init);
    expect(off.json).toMatchObject({ thinking: { type: "disabled" }, tool_choice: { type: "any", disable_parallel_tool_use: true } });
    expect(off.notes).toContain("COERCED reasoning.mode");
    const always = write(init, { alwaysReasons: true });
    expect(always.json).toMatchObject({ thinking: { type: "adaptive" }, tool_choice: { type: "auto", disable_parallel_tool_use: true } });
    expect(always.notes).toContain("COERCED tool_choice.mode");
    expect([...problemsOf(off.json), ...problemsOf(always.json)]).toEqual([]);
  });
});

describe("reasoning", () => {
  const limit = { maxOutputTokens: 20_000 };
  const { LOW, MINIMAL, HIGH, XHIGH, NONE } = ReasoningEffort;
  const { ENABLED, DISABLED, ADAPTIVE, BETWEEN_TOOLS } = ReasoningMode;

  test.each([
    ["an effort alone leaves thinking to the model", { effort: HIGH }, {}, { effort: "high" }, undefined, []],
    ["the nearest effort", { effort: MINIMAL }, {}, { effort: "low" }, undefined, ["COERCED reasoning.effort"]],
    [
      "the nearest that the model takes",
      { effort: XHIGH },
      { efforts: ["low", "high"] },
      { effort: "high" },
      undefined,
      ["COERCED reasoning.effort"],
    ],
    ["effort NONE is no thinking", { effort: NONE }, {}, undefined, { type: "disabled" }, []],
    ["off", { mode: DISABLED }, {}, undefined, { type: "disabled" }, []],
    ["a budget of 0 is off", { budgetTokens: 0 }, {}, undefined, { type: "disabled" }, []],
    ["off where the model always thinks", { mode: DISABLED }, { alwaysReasons: true }, undefined, undefined, ["COERCED reasoning.mode"]],
    ["adaptive", { mode: ADAPTIVE, effort: LOW }, {}, { effort: "low" }, { type: "adaptive" }, []],
    ["enabled on adaptive models", { mode: ENABLED }, {}, undefined, { type: "adaptive" }, ["COERCED reasoning.mode"]],
    ["between tools", { mode: BETWEEN_TOOLS }, {}, undefined, { type: "between_tools" }, []],
    [
      "a budget becomes an effort",
      { budgetTokens: 8000 },
      {},
      { effort: "medium" },
      { type: "adaptive" },
      ["COERCED reasoning.budget_tokens"],
    ],
    ["a budget", { mode: ENABLED, budgetTokens: 8000 }, { reasoning: "budget" }, undefined, { type: "enabled", budget_tokens: 8000 }, []],
    [
      "a budget and an effort",
      { budgetTokens: 8000, effort: LOW },
      { reasoning: "both" },
      { effort: "low" },
      { type: "enabled", budget_tokens: 8000 },
      [],
    ],
    [
      "an effort becomes a budget",
      { effort: LOW },
      { reasoning: "budget" },
      undefined,
      { type: "enabled", budget_tokens: 2048 },
      ["COERCED reasoning.effort"],
    ],
    [
      "adaptive on budget models",
      { mode: ADAPTIVE },
      { reasoning: "budget" },
      undefined,
      { type: "enabled", budget_tokens: 8192 },
      ["COERCED reasoning.mode"],
    ],
    [
      "enabled without a budget",
      { mode: ENABLED },
      { reasoning: "budget" },
      undefined,
      { type: "enabled", budget_tokens: 8192 },
      ["DEFAULTED reasoning.budget_tokens"],
    ],
    ["adaptive on a model of both kinds", { mode: ADAPTIVE }, { reasoning: "both" }, undefined, { type: "adaptive" }, []],
    [
      "a budget that is too large is cut",
      { budgetTokens: 30_000 },
      { reasoning: "budget" },
      undefined,
      { type: "enabled", budget_tokens: 18_976 },
      ["COERCED reasoning.budget_tokens"],
    ],
    [
      "a budget that is too small",
      { budgetTokens: 500 },
      { reasoning: "budget" },
      undefined,
      { type: "disabled" },
      ["COERCED reasoning.budget_tokens"],
    ],
    [
      "no reasoning model",
      { mode: ENABLED, effort: HIGH },
      { reasoning: "none" },
      undefined,
      undefined,
      ["DROPPED reasoning.mode", "DROPPED reasoning.effort"],
    ],
    [
      "what shall be shown is wanted",
      { effort: LOW, display: ReasoningDisplay.SUMMARY },
      {},
      { effort: "low" },
      { type: "adaptive", display: "summarized" },
      ["DEFAULTED reasoning.mode"],
    ],
    ["display", { mode: ADAPTIVE, display: ReasoningDisplay.OMITTED }, {}, undefined, { type: "adaptive", display: "omitted" }, []],
    [
      "finer display",
      { mode: ADAPTIVE, display: ReasoningDisplay.CONCISE },
      {},
      undefined,
      { type: "adaptive", display: "summarized" },
      ["COERCED reasoning.display"],
    ],
  ] as const)("%s", (_, wish, traits, outputConfig, thinking, notes) => {
    const written = write({ reasoning: wish, sampling: limit }, traits);
    expect(written.json.output_config).toEqual(outputConfig);
    expect(written.json.thinking).toEqual(thinking);
    expect(written.notes).toEqual(notes);
    expect(problemsOf(written.json)).toEqual([]);
  });

  test("case 38: a limit that was filled in makes room for the budget; a catalog's maximum does not", () => {
    const raised = write({ reasoning: { budgetTokens: 8000 } }, { reasoning: "budget" });
    expect(raised.json).toMatchObject({ max_tokens: 12_096, thinking: { budget_tokens: 8000 } });
    const cut = write({ reasoning: { budgetTokens: 8000 } }, { reasoning: "budget", maxOutputTokens: 8000 });
    expect(cut.json).toMatchObject({ max_tokens: 8000, thinking: { budget_tokens: 6976 } });
    expect(cut.notes).toContain("COERCED reasoning.budget_tokens");
  });

  test("a model that always thinks is never told not to", () => {
    const traits = { reasoning: "budget", alwaysReasons: true } as const;
    const { json, notes } = write({ reasoning: { budgetTokens: 10 }, sampling: limit }, traits);
    expect(json.thinking).toBeUndefined();
    expect(notes).toEqual(["COERCED reasoning.budget_tokens"]);
  });

  test("a budget needs thinking before the last calls; without it the call goes without", () => {
    const init = (...parts: Parameters<typeof assistant>) => ({
      messages: [user("x"), assistant(...parts), result("a", "1")],
      reasoning: { budgetTokens: 4000 },
      sampling: limit,
    });
    const foreign = write(init(reasoning("t", { value: "s", format: "gemini", provider: "" }), call("a")), { reasoning: "budget" });
    expect(foreign.json.thinking).toEqual({ type: "disabled" });
    expect(foreign.notes).toEqual(["DROPPED messages[1].parts[0]", "COERCED reasoning.mode"]);
    const signed = write(init(reasoning("t"), call("a")), { reasoning: "budget" });
    expect(signed.json.thinking).toMatchObject({ type: "enabled" });
    expect(signed.notes).toEqual([]);
  });
});

describe("output format", () => {
  const schemaJson = '{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"],"additionalProperties":false}';
  const outputFormat = { kind: OutputKind.JSON_SCHEMA, name: "count", schemaJson };

  test("a schema that the API takes goes as it is", () => {
    const { body, notes } = write({ outputFormat });
    expect(body).toContain(`"output_config":{"format":{"type":"json_schema","schema":${schemaJson}}}`);
    expect(notes).toEqual([filledIn]);
  });

  test("case 33: what it does not take is described in words, once per schema, and refused in strict mode", () => {
    const rich = {
      type: "object",
      properties: {
        age: { type: "integer", description: "Years.", minimum: 0, maximum: 150 },
        tags: { type: "array", items: { type: "string", pattern: "^a" }, minItems: 2, maxItems: 5 },
        minimum: {
          oneOf: [
            { type: "string", format: "date" },
            { type: "string", format: "phone" },
          ],
        },
        list: { type: "array", minItems: 1, items: { $ref: "#/$defs/Leaf" } },
      },
      $defs: { Leaf: { type: "object", properties: {}, enum: [{ minimum: 3 }] } },
    };
    const written = write({ outputFormat: { kind: OutputKind.JSON_SCHEMA, schemaJson: JSON.stringify(rich) } });
    expect((written.json.output_config as { format: { schema: unknown } }).format.schema).toEqual({
      type: "object",
      properties: {
        age: { type: "integer", description: "Years.\n\n{minimum: 0, maximum: 150}" },
        tags: { type: "array", items: { type: "string", description: '{pattern: "^a"}' }, description: "{minItems: 2, maxItems: 5}" },
        minimum: {
          anyOf: [
            { type: "string", format: "date" },
            { type: "string", description: '{format: "phone"}' },
          ],
        },
        list: { type: "array", minItems: 1, items: { $ref: "#/$defs/Leaf" } },
      },
      $defs: { Leaf: { type: "object", properties: {}, enum: [{ minimum: 3 }], additionalProperties: false } },
      additionalProperties: false,
    });
    expect(written.notes).toEqual([filledIn, "COERCED output_format.schema_json"]);
    expect(written.report.notes[1]?.detail).toContain("minimum, maximum, pattern, minItems, maxItems");
    expect(strictFailure(written).details.fields?.map(({ field }) => field)).toEqual(["output_format.schema_json"]);
  });

  test("a model without schemas is made to call a tool with the answer", () => {
    const written = write({ outputFormat }, { structuredOutput: false });
    expect(written.json).toMatchObject({
      tools: [{ name: "count", input_schema: JSON.parse(schemaJson) }],
      tool_choice: { type: "tool", name: "count", disable_parallel_tool_use: true },
    });
    expect((written.state as CallState).schemaTool).toBe("count");
    expect(written.notes).toContain("EMULATED output_format.schema_json");
  });

  test.each([
    ["with tools", { tools: [ping] }],
    ["while it thinks", { reasoning: { mode: ReasoningMode.ADAPTIVE } }],
  ])("%s it is told instead", (_, init) => {
    const written = write({ messages: [system("Be brief."), user("x")], outputFormat, ...init }, { structuredOutput: false });
    expect(written.json.system?.[0]).toEqual({ type: "text", text: "Be brief." });
    expect(written.json.system?.[1]?.text).toContain(schemaJson);
    expect(written.json.tool_choice).toBeUndefined();
    expect((written.state as CallState).schemaTool).toBe("");
  });

  test("any JSON is an instruction; a grammar, sound and pictures are refused", () => {
    const json = write({ outputFormat: { kind: OutputKind.JSON_OBJECT } });
    expect(json.json.system?.[0]?.text).toContain("JSON");
    expect(json.notes).toContain("EMULATED output_format.kind");
    expect(write({ outputFormat: { kind: OutputKind.GRAMMAR } }).refused).toEqual(["output_format.grammar"]);
    expect(write({ outputFormat: { modalities: [1, 2] } }).refused).toEqual(["output_format.modalities[1]"]);
    expect(write({ outputFormat: { kind: OutputKind.TEXT, verbosity: 1 } }).notes).toContain("DROPPED output_format.verbosity");
  });
});

describe("cache markers", () => {
  const cache = {};
  const marked = (value: string, ttlSeconds?: number) => text(value, { cache: ttlSeconds === undefined ? {} : { ttlSeconds } });
  const markedPaths = ({ json }: Written) =>
    JSON.stringify([json.tools, json.system, json.messages]).match(/"(?:text|name|tool_use_id)":"[^"]*"(?=[^{}]*"cache_control")/g);

  test("stand on tools, system, results and texts", () => {
    const written = write({
      tools: [{ ...ping, cache }],
      messages: [
        system(marked("s", 3600)),
        user("x"),
        assistant(call("a")),
        { role: 5, parts: [{ ...(resultPart("a", "1") as object), cache }] } as never,
        user(marked("y", 300)),
      ],
    });
    expect(written.json.system?.[0]?.cache_control).toEqual({ type: "ephemeral", ttl: "1h" });
    expect(written.json.messages[2]?.content.map(({ cache_control }) => cache_control)).toEqual([
      { type: "ephemeral" },
      { type: "ephemeral", ttl: "5m" },
    ]);
    // The tool's shorter lifetime would stand before the longer one.
    expect(written.json.tools?.[0]?.cache_control).toEqual({ type: "ephemeral", ttl: "1h" });
    expect(written.notes).toContain("COERCED tools[0].cache");
    expect(problemsOf(written.json)).toEqual([]);
  });

  test("what extras say beside a marker stays with it, and goes with it", () => {
    const extrasJson = { "anthropic-messages": '{"cache_control":{"scope":"global"}}' };
    const part = (value: string) => text(value, { cache: { ttlSeconds: 3600 }, extrasJson });
    const written = write({ messages: [system(part("s")), user(...["a", "b", "c", "d"].map(part))] });
    expect([...(written.json.system ?? []), ...(written.json.messages[0]?.content ?? [])].map((block) => block.cache_control)).toEqual([
      { scope: "global", type: "ephemeral", ttl: "1h" },
      undefined,
      ...Array(3).fill({ scope: "global", type: "ephemeral", ttl: "1h" }),
    ]);
  });

  test("case 36: the fifth: the last of tools and system stay, then the latest", () => {
    const written = write({
      tools: [
        { ...weather, cache },
        { ...ping, cache },
      ],
      messages: [system(marked("s1"), marked("s2")), user(marked("u1"), marked("u2"), marked("u3"))],
    });
    expect(markedPaths(written)).toEqual(['"text":"s2"', '"text":"u2"', '"text":"u3"']);
    expect(written.json.tools?.map((tool) => tool.cache_control !== undefined)).toEqual([false, true]);
    expect(written.notes.filter((note) => note.startsWith("DROPPED"))).toEqual([
      "DROPPED messages[1].parts[0].cache",
      "DROPPED messages[0].parts[0].cache",
      "DROPPED tools[0].cache",
    ]);
    expect(problemsOf(written.json)).toEqual([]);
  });

  test("the automatic one counts", () => {
    const written = write({
      cache: { automatic: true, ttlSeconds: 1800 },
      messages: [user(marked("1"), marked("2"), marked("3"), marked("4"))],
    });
    expect(written.json.cache_control).toEqual({ type: "ephemeral", ttl: "1h" });
    expect(written.notes).toContain("COERCED cache.ttl_seconds");
    expect(written.notes).toContain("DROPPED messages[0].parts[0].cache");
    expect(problemsOf(written.json)).toEqual([]);
  });

  test("move back from empty texts and thinking, and are dropped where nothing stands before", () => {
    const written = write({
      messages: [user(marked(" "), "x", marked("")), assistant({ ...(reasoning("t") as object), cache } as never, "y"), user("z")],
    });
    expect(markedPaths(written)).toEqual(['"text":"x"']);
    expect(written.notes).toContain("DROPPED messages[0].parts[0].cache");
    expect(problemsOf(written.json)).toEqual([]);
  });

  test("one inside an opaque block is counted as well", () => {
    const block = { type: "search_result", source: "s", title: "t", content: [], cache_control: { type: "ephemeral", ttl: "5m" } };
    const written = write({ messages: [user(opaque("search_result", block), marked("1"), marked("2"), marked("3"), marked("4"))] });
    expect(written.json.messages[0]?.content[0]).not.toHaveProperty("cache_control");
    expect(problemsOf(written.json)).toEqual([]);
    const alone = write({ messages: [user(opaque("search_result", block), "x")] });
    expect(alone.json.messages[0]?.content[0]?.cache_control).toEqual({ type: "ephemeral", ttl: "5m" });
  });
});

describe("strict mode", () => {
  test("names every loss with its path, defaults excepted", () => {
    const written = write({
      messages: [{ ...user("hi"), name: "ann" }],
      sampling: { temperature: 2, seed: 3n, candidateCount: 4 },
      extrasJson: { "openai-chat": '{"prediction":{}}' },
    });
    const error = strictFailure(written);
    expect(error.reason).toBe("untranslatable");
    expect(error.details.fields?.map(({ field }) => field)).toEqual([
      "sampling.candidate_count",
      "messages[0].name",
      "sampling.seed",
      "sampling.temperature",
      "prediction",
    ]);
  });
});

describe("content by address", () => {
  const { takesUrl } = createAnthropicMessagesCodec();

  test.each([
    ["https://a.example/i.png", "image", {}, true],
    ["https://a.example/d.pdf", "file", {}, true],
    ["https://a.example/i.png", "image", { imageUrls: false }, false],
    ["http://a.example/i.png", "image", {}, false],
    ["gs://bucket/i.png", "image", {}, false],
    ["https://a.example/v.mp4", "video", {}, false],
  ] as const)("%s as %s, with %j: %s", (url, kind, traits, taken) => {
    expect(takesUrl?.(url, kind, targetWith(traits))).toBe(taken);
  });
});
