/** Fields of the Gemini API, after the types of @google/genai 3.1 and the fields its client writes for this API. */
import { anything, either, flag, integer, later, list, map, number, object, required, type Shape, string, word } from "../../shape.ts";

const openObject = object({}, { open: true });
const base64 = string({ pattern: /^[A-Za-z0-9+/_-]*={0,2}$/ });
/** 64-bit numbers are strings in this JSON, but numbers are taken. */
const long = either(string(), integer());
const duration = string();

const blob = object({ mimeType: string(), data: base64, displayName: string() }, { type: "Blob" });
const fileData = object({ mimeType: string(), fileUri: string(), displayName: string() }, { type: "FileData" });
const part = object(
  {
    text: string(),
    thought: flag,
    thoughtSignature: string(),
    inlineData: blob,
    fileData,
    functionCall: object(
      { id: string(), name: string(), args: openObject, partialArgs: list(openObject), willContinue: flag },
      { type: "FunctionCall" },
    ),
    functionResponse: object(
      {
        id: string(),
        name: string(),
        response: openObject,
        parts: list(object({ inlineData: blob, fileData, mediaProcessing: openObject }, { type: "FunctionResponsePart" })),
        scheduling: word("SCHEDULING_UNSPECIFIED", "SILENT", "WHEN_IDLE", "INTERRUPT"),
        willContinue: flag,
      },
      { type: "FunctionResponse" },
    ),
    executableCode: object({ id: string(), language: string(), code: string() }, { type: "ExecutableCode" }),
    codeExecutionResult: object({ id: string(), outcome: string(), output: string() }, { type: "CodeExecutionResult" }),
    toolCall: openObject,
    toolResponse: openObject,
    audioTranscription: openObject,
    videoMetadata: object({ startOffset: duration, endOffset: duration, fps: number() }, { type: "VideoMetadata" }),
    mediaResolution: either(string(), openObject),
    mediaProcessing: openObject,
    partMetadata: openObject,
    speechMetadata: openObject,
  },
  { type: "Part" },
);
const content = object({ role: string(), parts: list(part) }, { type: "Content" });

const schemaTypes = ["TYPE_UNSPECIFIED", "STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"];
/** The subset of OpenAPI that `parameters` and `responseSchema` take; anything else is an unknown field. */
const schema: Shape = object(
  {
    type: word(...schemaTypes, ...schemaTypes.map((type) => type.toLowerCase())),
    format: string(),
    title: string(),
    description: string(),
    nullable: flag,
    enum: list(string()),
    maxItems: long,
    minItems: long,
    properties: map(later(() => schema)),
    required: list(string()),
    minProperties: long,
    maxProperties: long,
    minLength: long,
    maxLength: long,
    pattern: string(),
    example: anything,
    anyOf: list(later(() => schema)),
    propertyOrdering: list(string()),
    default: anything,
    items: later(() => schema),
    minimum: number(),
    maximum: number(),
  },
  { type: "Schema" },
);

const functionDeclaration = object(
  {
    name: required(string({ min: 1, pattern: /^[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}$/ })),
    description: string(),
    behavior: word("UNSPECIFIED", "BLOCKING", "NON_BLOCKING"),
    parameters: schema,
    parametersJsonSchema: anything,
    response: schema,
    responseJsonSchema: anything,
  },
  { type: "FunctionDeclaration" },
);
const tool = object(
  {
    functionDeclarations: list(functionDeclaration, 0, 512),
    googleSearch: openObject,
    googleSearchRetrieval: openObject,
    googleMaps: openObject,
    codeExecution: openObject,
    computerUse: openObject,
    urlContext: openObject,
    fileSearch: openObject,
    mcpServers: list(openObject),
  },
  { type: "Tool" },
);
const toolConfig = object(
  {
    functionCallingConfig: object(
      {
        mode: word("MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED"),
        allowedFunctionNames: list(string()),
        streamFunctionCallArguments: flag,
      },
      { type: "FunctionCallingConfig" },
    ),
    retrievalConfig: openObject,
    includeServerSideToolInvocations: flag,
  },
  { type: "ToolConfig" },
);
const thinkingConfig = object(
  {
    includeThoughts: flag,
    thinkingBudget: integer(-1),
    thinkingLevel: word(
      ...["THINKING_LEVEL_UNSPECIFIED", "MINIMAL", "LOW", "MEDIUM", "HIGH"].flatMap((level) => [level, level.toLowerCase()]),
    ),
  },
  { type: "ThinkingConfig" },
);
const generationConfig = object(
  {
    temperature: number(0, 2),
    topP: number(0, 1),
    topK: number(0),
    candidateCount: integer(1, 8),
    maxOutputTokens: integer(1),
    stopSequences: list(string(), 0, 5),
    responseLogprobs: flag,
    logprobs: integer(0, 20),
    presencePenalty: number(-2, 2),
    frequencyPenalty: number(-2, 2),
    seed: integer(-(2 ** 31), 2 ** 31 - 1),
    responseMimeType: string(),
    responseSchema: schema,
    responseJsonSchema: anything,
    responseFormat: anything,
    responseModalities: list(string()),
    mediaResolution: string(),
    speechConfig: openObject,
    thinkingConfig,
    audioTranscriptionConfig: openObject,
    imageConfig: openObject,
    enableEnhancedCivicAnswers: flag,
    audioTimestamp: flag,
    translationConfig: openObject,
  },
  { type: "GenerationConfig" },
);
const safetySetting = object({ category: string(), threshold: string(), method: string() }, { type: "SafetySetting" });

const generate = {
  // Named in the path; bodies that repeat it are taken.
  model: string(),
  contents: list(content),
  systemInstruction: content,
  tools: list(tool),
  toolConfig,
  safetySettings: list(safetySetting),
  generationConfig,
  cachedContent: string(),
  labels: map(string()),
  serviceTier: string(),
  continuationToken: string(),
  store: flag,
};
export const generateShape = object(generate, { type: "GenerateContentRequest" });
export const countTokensShape = object(
  { contents: list(content), generateContentRequest: object(generate, { type: "GenerateContentRequest" }) },
  { type: "CountTokensRequest" },
);

const embed = {
  model: string(),
  content: required(content),
  taskType: word(
    "TASK_TYPE_UNSPECIFIED",
    "RETRIEVAL_QUERY",
    "RETRIEVAL_DOCUMENT",
    "SEMANTIC_SIMILARITY",
    "CLASSIFICATION",
    "CLUSTERING",
    "QUESTION_ANSWERING",
    "FACT_VERIFICATION",
    "CODE_RETRIEVAL_QUERY",
  ),
  title: string(),
  outputDimensionality: integer(1, 4096),
};
export const embedShape = object(embed, { type: "EmbedContentRequest" });
export const batchEmbedShape = object(
  { requests: required(list(object(embed, { type: "EmbedContentRequest" }), 1, 100)) },
  { type: "BatchEmbedContentsRequest" },
);
