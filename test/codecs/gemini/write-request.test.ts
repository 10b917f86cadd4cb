import { describe, expect, test } from "vitest";
import { ServiceTier } from "../../../gen/dragoman/v1/call_pb.ts";
import {
  HostedToolKind,
  Modality,
  OutputKind,
  ReasoningDisplay,
  ReasoningEffort,
  ReasoningMode,
  ToolChoiceMode,
  ToolKind,
  Verbosity,
} from "../../../gen/dragoman/v1/generate_pb.ts";
import { createGeminiCodec, geminiDialect } from "../../../src/codecs/gemini/index.ts";
import { GatewayError } from "../../../src/core/error.ts";
import { Fold } from "../../../src/core/fold.ts";
import type { ModelTraits } from "../../../src/core/target.ts";
import { assistant, call, type RequestInit, request, result, targetWith, text, user, write } from "./written.ts";

type Init = RequestInit;
const fn = (name: string, parametersJson = "", more: object = {}) => ({
  tool: { case: "function", value: { name, parametersJson, ...more } },
});
const withTools = (...tools: object[]) => ({ tools }) as Init;
/** The functions of the first tool. */
const declared = ({ tools }: { readonly tools?: Record<string, unknown>[] }) => {
  const functions = tools?.[0]?.functionDeclarations;
  return Array.isArray(functions) ? (functions as Record<string, unknown>[]) : [];
};
const schema =
  '{"type":"object","$schema":"x","properties":{"b":{"type":["string","null"]},"a":{"const":"x"}},"additionalProperties":false}';

describe("the address", () => {
  const pathOf = (model: string, stream = false) =>
    createGeminiCodec().writeRequest(request({ messages: [user("hi")] } as Init), { ...targetWith(), model }, { stream }).path;

  test("names model and method, and the form of the stream", () => {
    expect(pathOf("gemini-3-flash")).toBe("/models/gemini-3-flash:generateContent");
    expect(pathOf("gemini-3-flash", true)).toBe("/models/gemini-3-flash:streamGenerateContent?alt=sse");
    expect(pathOf("models/gemini-3-flash")).toBe("/models/gemini-3-flash:generateContent");
    expect(pathOf("tunedModels/my-model")).toBe("/tunedModels/my-model:generateContent");
  });

  test("X14: cannot be led elsewhere by a model's name", () => {
    expect(pathOf("../files/x:delete?y#z")).toBe("/models/..%2Ffiles%2Fx%3Adelete%3Fy%23z:generateContent");
  });
});

test("a plain request holds nothing that was not said", () => {
  const { body, notes, refused, headers } = write({ messages: [user("hi")] });
  expect(body).toBe('{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}');
  expect([...notes, ...refused, ...Object.keys(headers)]).toEqual([]);
});

describe("sampling", () => {
  const config = (sampling: object, traits: ModelTraits = {}) => {
    const { json, notes, refused } = write({ sampling } as Init, traits);
    return { config: json.generationConfig, notes, refused };
  };

  test("is carried by its names here", () => {
    const all = {
      temperature: 0,
      topP: 0.5,
      topK: 3,
      maxOutputTokens: 9,
      frequencyPenalty: 1,
      presencePenalty: -1,
      stop: ["\n"],
      seed: -5n,
      candidateCount: 2,
      logprobs: true,
      topLogprobs: 4,
    };
    expect(config(all)).toEqual({
      config: {
        temperature: 0,
        topP: 0.5,
        topK: 3,
        maxOutputTokens: 9,
        frequencyPenalty: 1,
        presencePenalty: -1,
        stopSequences: ["\n"],
        seed: -5,
        candidateCount: 2,
        responseLogprobs: true,
        logprobs: 4,
      },
      notes: [],
      refused: [],
    });
  });

  test("out of range is clamped, too many stops are cut, one candidate goes without saying", () => {
    const { config: written, notes } = config({
      temperature: 3,
      frequencyPenalty: -9,
      stop: ["1", "2", "3", "4", "5", "6"],
      candidateCount: 1,
    });
    expect(written).toEqual({ temperature: 2, frequencyPenalty: -2, stopSequences: ["1", "2", "3", "4", "5"] });
    expect(notes).toEqual(["COERCED sampling.temperature", "COERCED sampling.frequency_penalty", "COERCED sampling.stop"]);
  });

  test("that models refuse or the API lacks is dropped", () => {
    expect(config({ temperature: 1, topP: 1, topK: 1, logitBias: { 5: 1 }, minP: 0.1, repetitionPenalty: 2 }, { sampling: false })).toEqual(
      {
        config: undefined,
        notes: ["temperature", "top_p", "top_k", "logit_bias", "min_p", "repetition_penalty"].map((name) => `DROPPED sampling.${name}`),
        refused: [],
      },
    );
  });

  test.each([2147483648n, -2147483649n, 9007199254740993n])("a seed beyond 32 bits is refused: %s", (seed) => {
    expect(config({ seed }).refused).toEqual(["sampling.seed"]);
  });
});

describe("tools", () => {
  test("case 32: functions stand in one tool, schemas as the client wrote them", () => {
    const spaced = ` {"type": "object", "properties": {"10": {"exclusiveMinimum": 5}, "2": {"$ref": "#/$defs/x"}}, "$defs": {"x": {}}} `;
    const { body, json, notes } = write(
      withTools(fn("f", spaced, { description: "does f", resultSchemaJson: '{"type":"object"}' }), fn("g")),
    );
    expect(json.tools).toHaveLength(1);
    expect(body).toContain(`"parametersJsonSchema":${spaced}`);
    expect(json.tools?.[0]).toMatchObject({
      functionDeclarations: [{ name: "f", description: "does f", responseJsonSchema: { type: "object" } }, { name: "g" }],
    });
    expect(Object.keys(declared(json)[1] ?? {})).toEqual(["name"]);
    expect(notes).toEqual([]);
  });

  test("case 32: older services get the subset of OpenAPI", () => {
    const { json, notes } = write(withTools(fn("f", schema), fn("g", '{"type":"object","properties":{}}')), {}, { schemas: "openapi" });
    expect(declared(json)).toEqual([
      {
        name: "f",
        parameters: {
          type: "OBJECT",
          properties: { b: { type: "STRING", nullable: true }, a: { type: "STRING", enum: ["x"] } },
          description: "additionalProperties: false",
        },
      },
      { name: "g" },
    ]);
    expect(notes).toEqual(["COERCED tools[0].function.parameters_json"]);
  });

  test("schemas that are no JSON objects are the client's mistake", () => {
    for (const wrong of ["{", "[]", '"x"', '{"a":1,"a":2}']) {
      expect(() => write(withTools(fn("f", wrong)))).toThrow(GatewayError);
      expect(() => write(withTools(fn("f", wrong)))).toThrow(/tools\[0\]\.function\.parameters_json/);
    }
  });

  test("names are made legal on the way out and themselves again in the answer", () => {
    const codec = createGeminiCodec();
    const written = write({
      messages: [user("hi"), assistant(call("a", "shell run/now")), result("a", "1")],
      ...withTools(fn("shell run/now"), fn("7up"), fn("functions.Bash:0-x")),
      toolChoice: { mode: ToolChoiceMode.TOOL, toolName: "shell run/now" },
    } as Init);
    const names = declared(written.json).map(({ name }) => name);
    expect(names).toEqual([
      expect.stringMatching(/^shell_run_now_[0-9a-f]{8}$/),
      expect.stringMatching(/^_7up_[0-9a-f]{8}$/),
      "functions.Bash:0-x",
    ]);
    const [sent] = names;
    expect(written.json.contents[1]?.parts[0]).toMatchObject({ functionCall: { name: sent } });
    expect(written.json.contents[2]?.parts[0]).toMatchObject({ functionResponse: { name: sent } });
    expect(written.json.toolConfig).toEqual({ functionCallingConfig: { mode: "ANY", allowedFunctionNames: [sent] } });
    expect(written.notes.slice(1)).toEqual(["COERCED tools[0].function.name", "COERCED tools[1].function.name"]);
    const reply = JSON.stringify({
      candidates: [{ content: { parts: [{ functionCall: { name: sent, args: {} } }] }, finishReason: "STOP" }],
    });
    const [candidate] = new Fold().addAll(codec.readResponse(reply, "google", written.state)).response().candidates;
    expect(candidate?.message?.parts[0]?.part.value).toMatchObject({ name: "shell run/now" });
  });

  test("a free-text tool is a function, and its calls free text again", () => {
    const grammar = { syntax: "lark", definition: "start: A" };
    const written = write(withTools({ tool: { case: "custom", value: { name: "grep", description: "finds", grammar } } }));
    expect(written.json.tools?.[0]).toEqual({
      functionDeclarations: [
        {
          name: "grep",
          description: "finds\n\nThe input must follow this lark grammar:\nstart: A",
          parametersJsonSchema: { type: "object", properties: { input: { type: "string" } }, required: ["input"] },
        },
      ],
    });
    expect(written.notes).toEqual(["EMULATED tools[0].custom"]);
    const reply = {
      candidates: [{ content: { parts: [{ functionCall: { name: "grep", args: { input: "^ä" } } }] }, finishReason: "STOP" }],
    };
    const events = createGeminiCodec().readResponse(JSON.stringify(reply), "google", written.state);
    expect(new Fold().addAll(events).response().candidates[0]?.message?.parts[0]?.part.value).toMatchObject({
      kind: ToolKind.CUSTOM,
      inputText: "^ä",
      argumentsJson: "",
    });
  });

  test("hosted tools: this format's as they are, others' by their kind", () => {
    const hosted = (value: object) => ({ tool: { case: "hosted", value } });
    const { json, notes } = write(
      withTools(
        hosted({
          kind: HostedToolKind.WEB_SEARCH,
          format: "gemini",
          type: "googleSearch",
          configJson: '{"googleSearch":{"timeRangeFilter":{}}}',
        }),
        hosted({ kind: HostedToolKind.CODE_EXECUTION, format: "gemini", type: "codeExecution" }),
        hosted({ kind: HostedToolKind.WEB_FETCH, format: "anthropic-messages", type: "web_fetch_20250910", configJson: '{"max_uses":1}' }),
        hosted({ kind: HostedToolKind.SHELL, format: "openai-responses", type: "shell" }),
      ),
    );
    expect(json.tools).toEqual([{ googleSearch: { timeRangeFilter: {} } }, { codeExecution: {} }, { urlContext: {} }]);
    expect(notes).toEqual(["EMULATED tools[2].hosted", "DROPPED tools[3].hosted"]);
  });

  test.each([
    [{ mode: ToolChoiceMode.AUTO }, { mode: "AUTO" }, 2, []],
    [{ mode: ToolChoiceMode.NONE }, { mode: "NONE" }, 2, []],
    [{ mode: ToolChoiceMode.REQUIRED }, { mode: "ANY" }, 2, []],
    [{ mode: ToolChoiceMode.REQUIRED, allowedTools: ["g"] }, { mode: "ANY", allowedFunctionNames: ["g"] }, 2, []],
    [{ mode: ToolChoiceMode.AUTO, allowedTools: ["g"] }, { mode: "AUTO" }, 1, ["EMULATED tool_choice.allowed_tools"]],
    [{ mode: ToolChoiceMode.TOOL, toolName: "f" }, { mode: "ANY", allowedFunctionNames: ["f"] }, 2, []],
    [{ parallel: false }, undefined, 2, ["DROPPED tool_choice.parallel"]],
  ])("the choice %j", (toolChoice, functionCallingConfig, count, expected) => {
    const { json, notes } = write({ ...withTools(fn("f"), fn("g")), toolChoice } as Init);
    expect(json.toolConfig).toEqual(functionCallingConfig && { functionCallingConfig });
    expect(json.tools?.[0]?.functionDeclarations).toHaveLength(count);
    expect(notes).toEqual(expected);
  });

  test("a choice without tools is dropped, tools without a model for them are refused, strict is best effort", () => {
    expect(write({ toolChoice: { mode: ToolChoiceMode.REQUIRED } } as Init)).toMatchObject({ notes: ["DROPPED tool_choice.mode"] });
    expect(write(withTools(fn("f")), { tools: false }).refused).toEqual(["tools"]);
    expect(write(withTools(fn("f", "", { strict: true }))).notes).toEqual(["COERCED tools[0].function.strict"]);
    expect(write(withTools({ ...fn("f"), cache: {} })).notes).toEqual(["DROPPED tools[0].cache"]);
  });
});

describe("the shape of the output", () => {
  const output = (outputFormat: object, traits: ModelTraits = {}, quirks = {}) => write({ outputFormat } as Init, traits, quirks);

  test("JSON, by a schema or without", () => {
    expect(output({ kind: OutputKind.JSON_OBJECT }).json.generationConfig).toEqual({ responseMimeType: "application/json" });
    const { json, notes } = output({ kind: OutputKind.JSON_SCHEMA, schemaJson: schema, name: "x", strict: true });
    expect(json.generationConfig).toEqual({ responseMimeType: "application/json", responseJsonSchema: JSON.parse(schema) });
    expect(notes).toEqual([]);
    const older = output({ kind: OutputKind.JSON_SCHEMA, schemaJson: schema }, {}, { schemas: "openapi" });
    expect(older.json.generationConfig?.responseSchema).toMatchObject({ type: "OBJECT" });
    expect(older.notes).toEqual(["COERCED output_format.schema_json"]);
  });

  test("is asked for in words where the model has no setting", () => {
    const { json, notes } = output({ kind: OutputKind.JSON_SCHEMA, schemaJson: schema }, { structuredOutput: false });
    expect(json.generationConfig).toBeUndefined();
    expect(json.systemInstruction?.parts[0]?.text).toContain(schema);
    expect(notes).toEqual(["EMULATED output_format"]);
  });

  test("pictures and sound", () => {
    const { json, notes } = output({ modalities: [Modality.TEXT, Modality.AUDIO], audio: { voice: "Kore", format: "mp3" } });
    expect(json.generationConfig).toEqual({
      responseModalities: ["TEXT", "AUDIO"],
      speechConfig: { voiceConfig: { prebuiltVoiceConfig: { voiceName: "Kore" } } },
    });
    expect(notes).toEqual(["COERCED output_format.audio.format"]);
    expect(output({ modalities: [Modality.TEXT] }).json.generationConfig).toBeUndefined();
  });

  test("what is not to be had", () => {
    expect(output({ kind: OutputKind.GRAMMAR, grammar: {} }).refused).toEqual(["output_format.grammar"]);
    expect(output({ verbosity: Verbosity.LOW }).notes).toEqual(["DROPPED output_format.verbosity"]);
  });
});

describe("thinking", () => {
  const thinking = (reasoning: object, traits: ModelTraits = {}) => {
    const { json, notes } = write({ reasoning } as Init, traits);
    return [json.generationConfig?.thinkingConfig, notes];
  };
  const { LOW, HIGH, MAX, NONE } = ReasoningEffort;

  test.each([
    [{ effort: LOW }, { thinkingLevel: "LOW" }, []],
    [{ effort: MAX }, { thinkingLevel: "HIGH" }, ["COERCED reasoning.effort"]],
    [{ effort: NONE }, { thinkingLevel: "MINIMAL" }, ["COERCED reasoning.effort"]],
    [{ mode: ReasoningMode.DISABLED }, { thinkingLevel: "MINIMAL" }, ["COERCED reasoning.mode"]],
    [{ budgetTokens: 5000 }, { thinkingLevel: "MEDIUM" }, ["COERCED reasoning.budget_tokens"]],
    [{ effort: HIGH, budgetTokens: 1 }, { thinkingLevel: "HIGH" }, ["DROPPED reasoning.budget_tokens"]],
    [{ mode: ReasoningMode.ADAPTIVE, display: ReasoningDisplay.SUMMARY }, { includeThoughts: true }, []],
    [{ display: ReasoningDisplay.OMITTED }, { includeThoughts: false }, []],
    [{ display: ReasoningDisplay.DETAILED }, { includeThoughts: true }, ["COERCED reasoning.display"]],
    [{ mode: ReasoningMode.ENABLED }, undefined, []],
  ])("by level: %j", (reasoning, config, notes) => {
    expect(thinking(reasoning)).toEqual([config, notes]);
  });

  test.each([
    [{ effort: LOW }, { thinkingBudget: 2048 }, ["COERCED reasoning.effort"]],
    [{ effort: MAX }, { thinkingBudget: 24_576 }, ["COERCED reasoning.effort"]],
    [{ effort: NONE, display: ReasoningDisplay.SUMMARY }, { thinkingBudget: 0 }, []],
    [{ budgetTokens: 5000 }, { thinkingBudget: 5000 }, []],
    [{ budgetTokens: 0 }, { thinkingBudget: 0 }, []],
    [{ effort: HIGH, budgetTokens: 300 }, { thinkingBudget: 300 }, ["DROPPED reasoning.effort"]],
    [{ mode: ReasoningMode.ADAPTIVE }, { thinkingBudget: -1 }, []],
  ])("by budget: %j", (reasoning, config, notes) => {
    expect(thinking(reasoning, { reasoning: "budget" })).toEqual([config, notes]);
  });

  test("within what the model takes", () => {
    expect(thinking({ effort: ReasoningEffort.MEDIUM }, { efforts: ["low", "high"] })).toEqual([
      { thinkingLevel: "LOW" },
      ["COERCED reasoning.effort"],
    ]);
    const range: ModelTraits = { reasoning: "budget", reasoningBudget: { min: 512, max: 1000 }, alwaysReasons: true };
    expect(thinking({ budgetTokens: 5000 }, range)).toEqual([{ thinkingBudget: 1000 }, ["COERCED reasoning.budget_tokens"]]);
    expect(thinking({ mode: ReasoningMode.DISABLED }, range)).toEqual([{ thinkingBudget: 512 }, ["COERCED reasoning.mode"]]);
    expect(thinking({ budgetTokens: 700 }, { reasoning: "both" })[0]).toEqual({ thinkingBudget: 700 });
    expect(thinking({ effort: LOW }, { reasoning: "both" })[0]).toEqual({ thinkingLevel: "LOW" });
    expect(thinking({ effort: LOW }, { reasoning: "none" })).toEqual([undefined, ["DROPPED reasoning.effort"]]);
    expect(thinking({ effort: NONE }, { reasoning: "none" })).toEqual([undefined, []]);
  });
});

describe("the call", () => {
  test("cache, tier, store and labels", () => {
    const init = {
      cache: { contentId: "cachedContents/x" },
      serviceTier: ServiceTier.FLEX,
      serverState: { store: false },
      metadata: { a: "b" },
    };
    const { json, notes } = write(init as Init, {}, { labels: true });
    expect(json).toMatchObject({ cachedContent: "cachedContents/x", serviceTier: "flex", store: false, labels: { a: "b" } });
    expect(notes).toEqual([]);
    const more = { cache: { key: "k", ttlSeconds: 5 }, serviceTier: ServiceTier.FAST, metadata: { a: "b" } };
    expect(write(more as Init).notes).toEqual([
      "DROPPED cache.key",
      "DROPPED cache.ttl_seconds",
      "DROPPED service_tier",
      "DROPPED metadata",
    ]);
    expect(write({ serverState: { previousId: "r", conversationId: "c" } } as Init).refused).toEqual([
      "server_state.previous_id",
      "server_state.conversation_id",
    ]);
  });

  test("unknown fields of the system instruction come back beside its parts", () => {
    const systemInstruction = { parts: [{ text: "s", a: 1 }], brandNew: { deep: [1] } };
    const { generate } = geminiDialect.readRequest(
      { systemInstruction, contents: [{ role: "user", parts: [{ text: "x" }] }] },
      { model: "m" },
    );
    const { body, report } = createGeminiCodec().writeRequest(
      generate,
      { id: "p/m", provider: "p", model: "m", traits: {} },
      { stream: false },
    );
    expect(JSON.parse(body).systemInstruction).toEqual(systemInstruction);
    expect(report.notes).toEqual([]);
  });

  test("unknown fields come back where they were, under what is modelled; others' are reported", () => {
    const { json, notes } = write({
      messages: [
        {
          ...(user(text("hi", { extrasJson: { gemini: '{"partMetadata":{"k":1}}' } })) as object),
          extrasJson: { gemini: '{"custom":1,"role":"x"}', "openai-chat": '{"weight":1}' },
        } as never,
      ],
      sampling: { temperature: 1 },
      tools: [{ ...fn("f"), extrasJson: { gemini: '{"behavior":"BLOCKING"}' } } as never],
      extrasJson: {
        gemini: '{"safetySettings":[{"threshold":"OFF"}],"generationConfig":{"temperature":0,"imageConfig":{"aspectRatio":"1:1"}}}',
        "openai-chat": '{"prediction":{},"logit":null}',
      },
    });
    expect(json).toMatchObject({
      contents: [{ role: "user", custom: 1, parts: [{ text: "hi", partMetadata: { k: 1 } }] }],
      tools: [{ functionDeclarations: [{ name: "f", behavior: "BLOCKING" }] }],
      safetySettings: [{ threshold: "OFF" }],
      generationConfig: { temperature: 1, imageConfig: { aspectRatio: "1:1" } },
    });
    expect(notes).toEqual(["DROPPED messages[0].weight", "DROPPED prediction"]);
  });
});

test.each([
  ["gs://b/x", true, true],
  ["https://generativelanguage.googleapis.com/v1beta/files/x", true, true],
  ["https://example.com/x.png", true, false],
  ["s3://b/x", false, false],
])("content at %s is taken by its address, or not", (url, byMost, withoutUrls) => {
  const { takesUrl } = createGeminiCodec();
  expect(takesUrl?.(url, "image", targetWith())).toBe(byMost);
  expect(takesUrl?.(url, "image", targetWith({ imageUrls: false }))).toBe(withoutUrls);
});
