import { toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { ServiceTier } from "../../../gen/dragoman/v1/call_pb.ts";
import {
  GenerateRequestSchema,
  HostedToolKind,
  MediaDetail,
  Modality,
  OutputKind,
  ReasoningDisplay,
  ReasoningEffort,
  ReasoningMode,
  Role,
  ToolChoiceMode,
} from "../../../gen/dragoman/v1/generate_pb.ts";
import { createGeminiCodec, geminiDialect } from "../../../src/codecs/gemini/index.ts";
import { GatewayError } from "../../../src/core/error.ts";
import { parseJson } from "../../../src/core/json.ts";

const target = { id: "google/m", provider: "google", model: "m", traits: { reasoning: "both", prefill: true } } as const;
const hi = { contents: [{ role: "user", parts: [{ text: "hi" }] }] };

function read(body: object, query = "alt=sse") {
  return geminiDialect.readRequest(parseJson(JSON.stringify(body)), { model: "m", stream: true, query: new URLSearchParams(query) });
}

function generateOf(body: object) {
  return read(body).generate;
}

/** What goes to the API for what came from a client. */
function sent(body: object): Record<string, unknown> {
  const { body: written, report } = createGeminiCodec({ signatureBypass: false }).writeRequest(generateOf(body), target, { stream: false });
  report.settle(false);
  return JSON.parse(written) as Record<string, unknown>;
}

function faultOf(body: object): string {
  try {
    read(body);
  } catch (error) {
    if (error instanceof GatewayError && error.reason === "invalid_request") return error.message;
    throw error;
  }
  throw new Error("nothing was refused");
}

function partOf(part: object) {
  const found = generateOf({ contents: [{ role: "model", parts: [part] }] }).messages[0]?.parts[0];
  if (found === undefined) throw new Error("no part");
  return found;
}

describe("what the path says", () => {
  test("is model, streaming and framing", () => {
    expect(generateOf(hi).model).toBe("m");
    expect(read(hi)).toMatchObject({ stream: true, includeUsage: true, rendering: "sse" });
    expect(read(hi, "").rendering).toBe("array");
    expect(geminiDialect.readRequest(parseJson(JSON.stringify({ ...hi, model: "models/x" })), {}).generate.model).toBe("x");
    expect(geminiDialect.readRequest(parseJson(JSON.stringify({ ...hi, model: "models/x" })), { model: "y" })).toMatchObject({
      stream: false,
      generate: { model: "y", extrasJson: {} },
    });
  });
});

describe("names", () => {
  test("may be written as in the .proto files; what is the client's own is left alone", () => {
    const camel = {
      systemInstruction: { parts: [{ text: "s" }] },
      contents: [
        { role: "user", parts: [{ inlineData: { mimeType: "image/png", data: "iVBORw0KGgo=" } }] },
        { role: "model", parts: [{ functionCall: { name: "f", args: { file_data: 1 } }, thoughtSignature: "S" }] },
        { role: "user", parts: [{ functionResponse: { name: "f", response: { inline_data: 2 } } }] },
      ],
      generationConfig: { maxOutputTokens: 5, thinkingConfig: { thinkingBudget: 9 }, newSetting: 1 },
      tools: [{ functionDeclarations: [{ name: "f", parametersJsonSchema: { type: "object", properties: { file_data: {} } } }] }],
      toolConfig: { functionCallingConfig: { mode: "ANY", allowedFunctionNames: ["f", "g"] } },
      safetySettings: [],
      labels: { a_b: "c" },
    };
    const snake = {
      system_instruction: { parts: [{ text: "s" }] },
      contents: [
        { role: "user", parts: [{ inline_data: { mime_type: "image/png", data: "iVBORw0KGgo=" } }] },
        { role: "model", parts: [{ function_call: { name: "f", args: { file_data: 1 } }, thought_signature: "S" }] },
        { role: "user", parts: [{ function_response: { name: "f", response: { inline_data: 2 } } }] },
      ],
      generation_config: { max_output_tokens: 5, thinking_config: { thinking_budget: 9 }, new_setting: 1 },
      tools: [{ function_declarations: [{ name: "f", parameters_json_schema: { type: "object", properties: { file_data: {} } } }] }],
      tool_config: { function_calling_config: { mode: "ANY", allowed_function_names: ["f", "g"] } },
      safety_settings: [],
      labels: { a_b: "c" },
    };
    expect(generateOf(snake)).toEqual(generateOf(camel));
    const [, , call, answer] = generateOf(snake).messages;
    expect(call?.parts[0]?.part.value).toMatchObject({ argumentsJson: '{"file_data":1}' });
    expect(answer?.parts[0]?.part.value).toMatchObject({ resultJson: '{"inline_data":2}' });
    expect(generateOf(snake).extrasJson).toEqual({ gemini: '{"generationConfig":{"newSetting":1},"safetySettings":[]}' });
  });
});

describe("contents", () => {
  test("have the roles user, model, function, or none; one may stand alone", () => {
    const roles = [{ role: "user" }, { role: "model" }, { role: "function" }, {}].map((content) => ({
      ...content,
      parts: [{ text: "x" }],
    }));
    expect(generateOf({ contents: roles }).messages.map(({ role }) => role)).toEqual([Role.USER, Role.ASSISTANT, Role.TOOL, Role.USER]);
    expect(generateOf({ contents: { parts: { text: "x" } } }).messages).toEqual(
      generateOf({ contents: [{ parts: [{ text: "x" }] }] }).messages,
    );
    expect(generateOf({ contents: [{ role: "user" }] }).messages[0]?.parts).toEqual([]);
    expect(faultOf({ contents: [{ role: "system", parts: [] }] })).toContain("contents[0].role");
    expect(faultOf({ contents: [] })).toContain("contents");
    expect(faultOf({})).toContain("contents");
    expect(faultOf({ contents: [{ parts: [{ text: 5 }] }] })).toContain("contents[0].parts[0].text");
  });

  test("come after the system instruction, in any of its forms", () => {
    const forms = [
      "be kind",
      { parts: [{ text: "be kind" }] },
      { role: "user", parts: { text: "be kind" } },
      { text: "be kind" },
      [{ text: "be kind" }],
    ];
    for (const systemInstruction of forms) {
      const { messages } = generateOf({ ...hi, systemInstruction });
      expect(messages.map(({ role }) => role)).toEqual([Role.SYSTEM, Role.USER]);
      expect(messages[0]?.parts.map(({ part }) => part.value)).toEqual(["be kind"]);
    }
  });
});

describe("a part", () => {
  test("is text, a thought, or media, with its signature and what stands beside it", () => {
    expect(partOf({ text: "a", thoughtSignature: "S", partMetadata: { x: 1 } })).toMatchObject({
      part: { case: "text", value: "a" },
      signature: { value: "S", format: "gemini", provider: "" },
      extrasJson: { gemini: '{"partMetadata":{"x":1}}' },
    });
    expect(partOf({ text: "t", thought: true }).part).toMatchObject({ case: "reasoning", value: { text: "t", redacted: false } });
    expect(partOf({ thoughtSignature: "S" })).toMatchObject({ part: { case: "text", value: "" }, signature: { value: "S" } });
    const film = {
      fileData: { fileUri: "gs://b/v", mimeType: "video/mp4" },
      videoMetadata: { startOffset: "1.5s", endOffset: "20s", fps: 2 },
    };
    expect(partOf(film).part).toMatchObject({
      case: "video",
      value: { source: { case: "url", value: "gs://b/v" }, startMs: 1500, endMs: 20_000, framesPerSecond: 2 },
    });
    expect(partOf({ fileData: { fileUri: "https://youtu.be/x" } }).part.case).toBe("video");
    expect(partOf({ fileData: { fileUri: "https://e.com/a.pdf" } }).part.case).toBe("file");
    expect(
      partOf({ fileData: { fileUri: "https://generativelanguage.googleapis.com/v1beta/files/x", mimeType: "image/png" } }).part,
    ).toMatchObject({
      case: "image",
      value: { source: { case: "providerFile" } },
    });
    const image = {
      inlineData: { mimeType: "image/png", data: "iVBORw0KGgo=", displayName: "d" },
      mediaResolution: { level: "MEDIA_RESOLUTION_HIGH" },
    };
    expect(partOf(image)).toMatchObject({
      part: { case: "image", value: { mimeType: "image/png", detail: MediaDetail.HIGH } },
      extrasJson: { gemini: '{"inlineData":{"displayName":"d"}}' },
    });
    expect(faultOf({ contents: [{ parts: [{ inlineData: { data: "a*b" } }] }] })).toContain("contents[0].parts[0].inlineData.data");
  });

  test("that only this API knows is kept whole, its signature beside it", () => {
    for (const [type, value] of [
      ["executableCode", { language: "PYTHON", code: "1" }],
      ["codeExecutionResult", { outcome: "OUTCOME_OK" }],
      ["toolCall", { id: "t" }],
      ["toolResponse", { id: "t" }],
    ] as const) {
      expect(partOf({ [type]: value, thoughtSignature: "S" })).toMatchObject({
        part: { case: "opaque", value: { format: "gemini", type, dataJson: JSON.stringify({ [type]: value }) } },
        signature: { value: "S" },
        extrasJson: {},
      });
    }
    expect(partOf({ thought: true, inlineData: { mimeType: "image/png", data: "iVBORw0KGgo=" } }).part.case).toBe("opaque");
  });
});

describe("calls and results", () => {
  const call = (name: string, more: object = {}) => ({ functionCall: { name, args: {}, ...more } });
  const answer = (name: string, more: object = {}) => ({ functionResponse: { name, response: { output: name }, ...more } });
  const idsOf = (...contents: object[]) =>
    generateOf({ contents }).messages.map(({ parts }) =>
      parts.map(({ part }) => (part.case === "toolCall" ? part.value.id : part.case === "toolResult" ? part.value.toolCallId : "")),
    );

  test("without ids get some, the same every time, that pair them by name and order", () => {
    const contents = [
      { role: "model", parts: [call("f"), call("g"), call("f")] },
      { role: "user", parts: [answer("g"), answer("f"), answer("f")] },
      { role: "model", parts: [call("f")] },
      { role: "user", parts: [answer("f")] },
    ];
    const ids = idsOf(...contents);
    expect(ids).toEqual(idsOf(...contents));
    const [[first, second, third], answers] = ids as [string[], string[]];
    expect(answers).toEqual([second, first, third]);
    expect(ids[3]).toEqual(ids[2]);
    expect(new Set(ids.flat()).size).toBe(4);
    for (const id of ids.flat()) expect(id).toMatch(/^dgm_[a-z0-9_]+$/);
    expect(JSON.stringify(sent({ contents }))).not.toContain("dgm_");
  });

  test("with ids keep them, and are paired by them", () => {
    const contents = [
      { role: "model", parts: [call("f", { id: "a" }), call("f", { id: "b" })] },
      { role: "user", parts: [answer("f", { id: "b" }), answer("f", { id: "a" })] },
    ];
    expect(idsOf(...contents)).toEqual([
      ["a", "b"],
      ["b", "a"],
    ]);
    expect(sent({ contents }).contents).toMatchObject([
      { role: "user", parts: [{ text: "." }] },
      { parts: [{ functionCall: { id: "a" } }, { functionCall: { id: "b" } }] },
      { parts: [{ functionResponse: { id: "a" } }, { functionResponse: { id: "b" } }] },
    ]);
  });

  test("are answered by an object, whose plain forms are unwrapped only if they are wrapped again in the same way", () => {
    const responses = [
      { output: "text" },
      { output: "" },
      { output: '{"a":1}' },
      { output: { a: 1 } },
      { output: [1] },
      { output: null },
      { error: "broken" },
      { error: '{"a":1}' },
      { error: { error: 1 } },
      { error: 5 },
      { output: "a", error: "b" },
      { temperature: 5 },
      {},
    ];
    for (const response of responses) {
      const contents = [
        { role: "user", parts: [{ text: "x" }] },
        { role: "model", parts: [call("f")] },
        { role: "user", parts: [{ functionResponse: { name: "f", response, scheduling: "SILENT", willContinue: true } }] },
      ];
      expect(sent({ contents })).toEqual({ contents });
    }
    const resultOf = (response: object) => partOf({ functionResponse: { name: "f", response } }).part.value;
    expect(resultOf({ output: "text" })).toMatchObject({
      isError: false,
      resultJson: "",
      content: [{ part: { case: "text", value: "text" } }],
    });
    expect(resultOf({ error: "broken" })).toMatchObject({
      isError: true,
      resultJson: "",
      content: [{ part: { case: "text", value: "broken" } }],
    });
    expect(resultOf({ temperature: 5 })).toMatchObject({ isError: false, resultJson: '{"temperature":5}', content: [] });
  });

  test("may hold media", () => {
    const parts = [{ inlineData: { mimeType: "image/png", data: "iVBORw0KGgo=", displayName: "d" } }];
    const contents = [
      { role: "user", parts: [{ text: "x" }] },
      { role: "model", parts: [call("f")] },
      { role: "user", parts: [{ functionResponse: { name: "f", response: { output: "see" }, parts } }] },
    ];
    expect(sent({ contents })).toEqual({ contents });
  });
});

describe("tools", () => {
  test("are functions and tools of Google's, however they are grouped", () => {
    const tools = [
      {
        functionDeclarations: [
          { name: "f", description: "d", parametersJsonSchema: { type: "object" }, behavior: "BLOCKING" },
          { name: "g" },
        ],
        googleSearch: { excludeDomains: ["x"] },
      },
      { urlContext: {}, newTool: { a: 1 } },
    ];
    const { tools: read } = generateOf({ ...hi, tools });
    expect(read.map(({ tool }) => (tool.case === "hosted" ? [tool.value.kind, tool.value.configJson] : tool.value?.name))).toEqual([
      "f",
      "g",
      [HostedToolKind.WEB_SEARCH, '{"googleSearch":{"excludeDomains":["x"]}}'],
      [HostedToolKind.WEB_FETCH, '{"urlContext":{}}'],
      [HostedToolKind.UNSPECIFIED, '{"newTool":{"a":1}}'],
    ]);
    expect(sent({ ...hi, tools }).tools).toEqual([
      { functionDeclarations: tools[0]?.functionDeclarations },
      { googleSearch: { excludeDomains: ["x"] } },
      { urlContext: {} },
      { newTool: { a: 1 } },
    ]);
    expect(faultOf({ ...hi, tools: [{ functionDeclarations: [{ description: "d" }] }] })).toContain(
      "tools[0].functionDeclarations[0].name",
    );
  });

  test("have schemas of either kind; JSON Schema is kept to the letter (case 32)", () => {
    const schema =
      '{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","additionalProperties":false,"properties":{"z":{"$ref":"#/$defs/Z"},"a":{"type":"number","exclusiveMinimum":0}},"$defs":{"Z":{"type":"string"}},"const":12345678901234567890}';
    const body = parseJson(
      `{"contents":[{"parts":[{"text":"x"}]}],"tools":[{"functionDeclarations":[{"name":"f","parametersJsonSchema":${schema}}]}]}`,
    );
    const { generate } = geminiDialect.readRequest(body, { model: "m" });
    expect(generate.tools[0]?.tool.value).toMatchObject({ parametersJson: schema });
    expect(createGeminiCodec().writeRequest(generate, target, { stream: false }).body).toContain(`"parametersJsonSchema":${schema}`);
  });

  test("have the API's own schemas read as JSON Schema", () => {
    const parameters = {
      type: "OBJECT",
      propertyOrdering: ["b", "a"],
      properties: {
        a: { type: "STRING", nullable: true, enum: ["x", "y"], format: "enum" },
        b: { type: "ARRAY", items: { type: "INTEGER", format: "int32" }, minItems: "1", max_items: "3", example: [1] },
        c: { any_of: [{ type: "STRING" }, { type: "NUMBER" }], nullable: true },
      },
      required: ["b"],
    };
    const { tools } = generateOf({ ...hi, tools: [{ functionDeclarations: [{ name: "f", parameters, response: { type: "STRING" } }] }] });
    const parametersJson = JSON.stringify({
      type: "object",
      properties: {
        b: { type: "array", items: { type: "integer", format: "int32" }, minItems: 1, maxItems: 3, examples: [[1]] },
        a: { type: ["string", "null"], enum: ["x", "y", null] },
        c: { anyOf: [{ type: "string" }, { type: "number" }, { type: "null" }] },
      },
      required: ["b"],
    });
    expect(tools[0]?.tool.value).toMatchObject({ parametersJson, resultSchemaJson: '{"type":"string"}' });
    expect(tools[0]?.extrasJson).toEqual({});
    // And back, for services that take nothing else.
    const { body } = createGeminiCodec({ schemas: "openapi" }).writeRequest(
      generateOf({
        ...hi,
        tools: [
          { functionDeclarations: [{ name: "f", parameters: { type: "OBJECT", properties: { a: { type: "STRING", nullable: true } } } }] },
        ],
      }),
      target,
      { stream: false },
    );
    expect(JSON.parse(body)).toMatchObject({
      tools: [{ functionDeclarations: [{ parameters: { type: "OBJECT", properties: { a: { type: "STRING", nullable: true } } } }] }],
    });
  });

  test.each([
    [{ mode: "AUTO" }, { mode: ToolChoiceMode.AUTO }],
    [{ mode: "NONE" }, { mode: ToolChoiceMode.NONE }],
    [{ mode: "ANY" }, { mode: ToolChoiceMode.REQUIRED, allowedTools: [] }],
    [
      { mode: "ANY", allowedFunctionNames: ["f"] },
      { mode: ToolChoiceMode.TOOL, toolName: "f" },
    ],
    [
      { mode: "ANY", allowedFunctionNames: ["f", "g"] },
      { mode: ToolChoiceMode.REQUIRED, allowedTools: ["f", "g"] },
    ],
    [{ mode: "VALIDATED", allowedFunctionNames: ["f"] }, undefined],
  ])("are chosen by %j", (functionCallingConfig, choice) => {
    const body = {
      ...hi,
      tools: [{ functionDeclarations: [{ name: "f" }, { name: "g" }] }],
      toolConfig: { functionCallingConfig, retrievalConfig: { languageCode: "de" } },
    };
    if (choice === undefined) expect(generateOf(body).toolChoice).toBeUndefined();
    else expect(generateOf(body).toolChoice).toMatchObject(choice);
    expect(sent(body)).toEqual(body);
  });
});

describe("the configuration", () => {
  const configOf = (generationConfig: object) => generateOf({ ...hi, generationConfig });

  test("is sampling", () => {
    const generationConfig = {
      temperature: 0,
      topP: 0.5,
      topK: 40,
      maxOutputTokens: 100,
      candidateCount: 2,
      stopSequences: ["\n"],
      seed: -5,
      presencePenalty: 1,
      frequencyPenalty: -1,
      responseLogprobs: true,
      logprobs: 3,
    };
    expect(configOf(generationConfig).sampling).toMatchObject({
      temperature: 0,
      topP: 0.5,
      topK: 40,
      maxOutputTokens: 100,
      candidateCount: 2,
      stop: ["\n"],
      seed: -5n,
      presencePenalty: 1,
      frequencyPenalty: -1,
      logprobs: true,
      topLogprobs: 3,
    });
    expect(sent({ ...hi, generationConfig })).toEqual({ ...hi, generationConfig });
    expect(configOf({}).sampling).toBeUndefined();
    expect(faultOf({ ...hi, generationConfig: { topP: 2 } })).toContain("generationConfig.topP");
    expect(faultOf({ ...hi, generationConfig: { stopSequences: ["a", ""] } })).toContain("generationConfig.stopSequences[1]");
  });

  test.each([
    [{ thinkingBudget: 0 }, { mode: ReasoningMode.DISABLED }],
    [
      { thinkingBudget: 512, includeThoughts: true },
      { budgetTokens: 512, display: ReasoningDisplay.SUMMARY },
    ],
    [
      { thinkingLevel: "MINIMAL", includeThoughts: false },
      { effort: ReasoningEffort.MINIMAL, display: ReasoningDisplay.OMITTED },
    ],
    [{ thinkingLevel: "HIGH" }, { effort: ReasoningEffort.HIGH }],
  ])("is thinking: %j", (thinkingConfig, reasoning) => {
    expect(configOf({ thinkingConfig }).reasoning).toMatchObject(reasoning);
    expect(sent({ ...hi, generationConfig: { thinkingConfig } })).toEqual({ ...hi, generationConfig: { thinkingConfig } });
  });

  test("leaves it to the model how much to think", () => {
    expect(configOf({ thinkingConfig: { thinkingBudget: -1 } }).reasoning).toMatchObject({ mode: ReasoningMode.ADAPTIVE });
    expect(configOf({ thinkingConfig: { thinkingLevel: "THINKING_LEVEL_UNSPECIFIED" } }).reasoning).toBeUndefined();
  });

  test("is the shape of the output", () => {
    expect(configOf({ responseMimeType: "application/json" }).outputFormat).toMatchObject({ kind: OutputKind.JSON_OBJECT });
    const schema = { type: "object", properties: { b: {}, a: {} } };
    for (const name of ["responseJsonSchema", "_responseJsonSchema", "responseSchema"]) {
      const { outputFormat, extrasJson } = configOf({ responseMimeType: "application/json", [name]: schema });
      expect(outputFormat).toMatchObject({ kind: OutputKind.JSON_SCHEMA, schemaJson: JSON.stringify(schema) });
      expect(extrasJson).toEqual({});
    }
    const choice = { responseMimeType: "text/x.enum", responseSchema: { type: "STRING", enum: ["a"] } };
    expect(configOf(choice).outputFormat).toBeUndefined();
    expect(sent({ ...hi, generationConfig: choice })).toEqual({ ...hi, generationConfig: choice });
    const speech = {
      responseModalities: ["AUDIO"],
      speechConfig: { voiceConfig: { prebuiltVoiceConfig: { voiceName: "Kore" } }, languageCode: "de-DE" },
    };
    expect(configOf(speech).outputFormat).toMatchObject({ modalities: [Modality.AUDIO], audio: { voice: "Kore" } });
    expect(sent({ ...hi, generationConfig: speech })).toEqual({ ...hi, generationConfig: speech });
  });

  test("keeps what is not modelled", () => {
    const generationConfig = {
      temperature: 1,
      mediaResolution: "MEDIA_RESOLUTION_LOW",
      imageConfig: { aspectRatio: "1:1" },
      responseModalities: ["VIDEO"],
      thinkingConfig: { thinkingBudget: 5, new: true },
      routingConfig: { autoMode: {} },
    };
    expect(sent({ ...hi, generationConfig })).toEqual({ ...hi, generationConfig });
  });
});

test("facts of the call are read, and what is not modelled comes back out", () => {
  const body = {
    ...hi,
    cachedContent: "cachedContents/x",
    serviceTier: "flex",
    store: false,
    safetySettings: [{ category: "HARM_CATEGORY_HARASSMENT", threshold: "OFF" }],
    newField: { a: [1] },
  };
  const generate = generateOf({ ...body, labels: { team: "x" } });
  expect(generate).toMatchObject({
    cache: { contentId: "cachedContents/x" },
    serviceTier: ServiceTier.FLEX,
    serverState: { store: false },
    metadata: { team: "x" },
  });
  expect(sent(body)).toEqual(body);
});

test("the documented value for calls without a signature is none", () => {
  const part = { functionCall: { name: "f", args: {} }, thoughtSignature: "skip_thought_signature_validator" };
  expect(partOf(part)).toMatchObject({ part: { case: "toolCall" }, extrasJson: {} });
  expect(partOf(part).signature).toBeUndefined();
});

describe("a signature of another vendor", () => {
  test("that came in pieces belongs to the whole thought", () => {
    const wrapped = Buffer.from(JSON.stringify({ dragoman: 1, format: "anthropic", value: "not base64!" })).toString("base64");
    const contents = [
      { role: "user", parts: [{ text: "x" }] },
      { role: "model", parts: [{ text: "I ", thought: true }] },
      { role: "model", parts: [{ text: "think", thought: true, thoughtSignature: wrapped }] },
      { role: "model", parts: [{ text: "Hello" }] },
      { role: "user", parts: [{ text: "y" }] },
    ];
    const { generate, clientPath } = read({ systemInstruction: "s", contents });
    expect(generate.messages.map(({ parts }) => parts.map(({ part }) => part.case))).toEqual([
      ["text"],
      ["text"],
      ["reasoning"],
      ["text"],
      ["text"],
    ]);
    expect(generate.messages[2]?.parts[0]).toMatchObject({
      part: { value: { text: "I think", redacted: false } },
      signature: { value: "not base64!", format: "anthropic", provider: "" },
    });
    expect(clientPath?.("messages[2].parts[0].reasoning")).toBe("contents[2].parts[0].text");
    // Some clients know only the other alphabet.
    const other = Buffer.from(wrapped, "base64").toString("base64url");
    expect(partOf({ text: "", thought: true, thoughtSignature: other }).signature).toMatchObject({ value: "not base64!" });
  });

  test("does not join thoughts that this API signed, nor across a user's turn", () => {
    const wrapped = Buffer.from(JSON.stringify({ dragoman: 1, format: "openai", value: "v" })).toString("base64");
    const contents = [
      {
        role: "model",
        parts: [
          { text: "a", thought: true },
          { text: "b", thought: true, thoughtSignature: "S" },
        ],
      },
      { role: "user", parts: [{ text: "x" }] },
      { role: "model", parts: [{ text: "c", thought: true, thoughtSignature: wrapped }] },
    ];
    const texts = generateOf({ contents }).messages.map(({ parts }) =>
      parts.map(({ part }) => (part.case === "reasoning" ? part.value.text : part.value)),
    );
    expect(texts).toEqual([["a", "b"], ["x"], ["c"]]);
  });
});

test("reading changes nothing of what was sent", () => {
  const body = parseJson(JSON.stringify({ system_instruction: "s", contents: [{ parts: { inline_data: { data: "" } } }] }));
  const before = JSON.stringify(body);
  geminiDialect.readRequest(body, { model: "m" });
  expect(JSON.stringify(body)).toBe(before);
});

test("writing changes nothing of what was read", () => {
  const generate = generateOf({ ...hi, tools: [{ functionDeclarations: [{ name: "f" }] }], newField: 1 });
  const before = toBinary(GenerateRequestSchema, generate);
  createGeminiCodec().writeRequest(generate, target, { stream: true });
  expect(Buffer.compare(toBinary(GenerateRequestSchema, generate), before)).toBe(0);
});

describe("places in the core request in the client's words", () => {
  const { clientPath } = read({
    systemInstruction: "s",
    contents: [
      { role: "user", parts: { text: "x" } },
      { role: "model", parts: [{ functionCall: { name: "f" } }] },
    ],
    tools: [{ googleSearch: {} }, { functionDeclarations: [{ name: "f" }] }],
  });
  test.each([
    ["messages[0]", "systemInstruction"],
    ["messages[1].parts[0]", "contents[0].parts"],
    ["messages[2].parts[0].tool_call.arguments_json", "contents[1].parts[0].functionCall.args"],
    ["messages[2].parts[0].signature", "contents[1].parts[0].thoughtSignature"],
    ["messages[2].parts[3].image.detail", "contents[1].parts[3].mediaResolution"],
    ["messages[2].parts[0].partMetadata", "contents[1].parts[0].partMetadata"],
    ["tools[0].hosted", "tools[0].googleSearch"],
    ["tools[1].function.parameters_json", "tools[1].functionDeclarations[0].parametersJsonSchema"],
    ["tools[1].behavior", "tools[1].functionDeclarations[0].behavior"],
    ["tool_choice.allowed_tools", "toolConfig.functionCallingConfig.allowedFunctionNames"],
    ["sampling.top_k", "generationConfig.topK"],
    ["sampling.stop", "generationConfig.stopSequences"],
    ["reasoning.effort", "generationConfig.thinkingConfig.thinkingLevel"],
    ["output_format.schema_json", "generationConfig.responseJsonSchema"],
    ["cache.content_id", "cachedContent"],
    ["server_state.store", "store"],
    ["safetySettings", "safetySettings"],
    ["messages", "contents"],
  ])("%s is %s", (core, client) => {
    expect(clientPath?.(core)).toBe(client);
  });

  test("without the request", () => {
    expect(geminiDialect.clientPath("messages[1].parts[2].text")).toBe("contents[1].parts[2].text");
  });
});
