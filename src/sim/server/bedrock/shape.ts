/** Fields of POST /model/{id}/converse and /converse-stream, after the types of @aws-sdk/client-bedrock-runtime 3.1162. */
import { anything, flag, integer, list, type Members, map, number, object, required, type Shape, string, word } from "../../shape.ts";

const openObject = object({}, { open: true });
const empty = object({});
const base64 = required(string({ min: 1, pattern: /^[A-Za-z0-9+/]+={0,2}$/ }));
const name = required(string({ min: 1, max: 64, pattern: /^[a-zA-Z0-9_-]+$/ }));
const cachePoint = object({ type: required(word("default")), ttl: word("5m", "1h") });

/** An object that has exactly one of its members; how many it has is checked apart. */
const union = (members: Members) => object(members);

const s3Location = object({
  uri: required(string({ min: 1, pattern: /^s3:\/\/[a-z0-9][.\-a-z0-9]{1,61}[a-z0-9](\/.*)?$/ })),
  bucketOwner: string(),
});
const stored: Members = { bytes: base64.shape, s3Location };
const image = object({ format: required(word("png", "jpeg", "gif", "webp")), source: required(union(stored)) });
const video = object({
  format: required(word("mkv", "mov", "mp4", "webm", "flv", "mpeg", "mpg", "wmv", "three_gp")),
  source: required(union(stored)),
});
const audio = object({
  format: required(word("mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mkv", "mka", "x-aac", "m4a", "mpeg", "mpga", "pcm", "webm")),
  source: required(union(stored)),
});
const citationsConfig = object({ enabled: required(flag) });
const document = object({
  format: word("pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"),
  name: required(string({ min: 1, max: 200 })),
  source: required(union({ ...stored, text: string(), content: list(union({ text: string() })) })),
  context: string(),
  citations: citationsConfig,
});
const searchResult = object({
  source: required(string()),
  title: required(string()),
  content: required(list(object({ text: required(string()) }))),
  citations: citationsConfig,
});
const place = object({ documentIndex: integer(0), start: integer(0), end: integer(0) });
const citation = object({
  title: string(),
  source: string(),
  sourceContent: list(union({ text: string() })),
  location: union({
    documentChar: place,
    documentPage: place,
    documentChunk: place,
    searchResultLocation: openObject,
    web: object({ url: string(), domain: string() }),
  }),
});

const block = union({
  text: string(),
  image,
  document,
  video,
  audio,
  toolUse: object({ toolUseId: name, name, input: required(openObject), type: word("server_tool_use") }),
  toolResult: object({
    toolUseId: name,
    content: required(list(union({ json: openObject, text: string(), image, document, video, searchResult }))),
    status: word("success", "error"),
    type: string(),
  }),
  guardContent: openObject,
  cachePoint,
  reasoningContent: union({
    reasoningText: object({ text: required(string()), signature: string() }),
    redactedContent: base64.shape,
  }),
  citationsContent: object({ content: list(union({ text: string() })), citations: list(citation) }),
  searchResult,
});
const message = object({ role: required(word("user", "assistant")), content: required(list(block)) });
const midSystemMessage = object({ role: required(word("user", "assistant", "system")), content: required(list(block)) });

const systemBlock = union({ text: string({ min: 1 }), guardContent: openObject, cachePoint });
const toolConfig = object({
  tools: required(
    list(
      union({
        toolSpec: object({
          name,
          description: string({ min: 1 }),
          inputSchema: required(union({ json: object({ type: required(word("object")) }, { open: true }) })),
          strict: flag,
        }),
        systemTool: object({ name }),
        cachePoint,
      }),
      1,
    ),
  ),
  toolChoice: union({ auto: empty, any: empty, tool: object({ name }) }),
});
const label = string({ max: 256, pattern: /^[a-zA-Z0-9\s:_@$#=/+,.-]*$/ });

/** What counting takes, too. */
const counted = (messages: Shape): Members => ({
  messages: required(list(messages)),
  system: list(systemBlock),
  toolConfig,
  additionalModelRequestFields: openObject,
});

const rest: Members = {
  inferenceConfig: object({
    maxTokens: integer(1),
    temperature: number(0, 1),
    topP: number(0, 1),
    stopSequences: list(string({ min: 1 }), 0, 2500),
  }),
  guardrailConfig: object({
    guardrailIdentifier: string(),
    guardrailVersion: string(),
    trace: word("enabled", "disabled", "enabled_full"),
    streamProcessingMode: word("sync", "async"),
  }),
  promptVariables: openObject,
  additionalModelResponseFieldPaths: list(string({ min: 1, max: 256 }), 0, 10),
  requestMetadata: map(label, 16),
  performanceConfig: object({ latency: word("standard", "optimized") }),
  serviceTier: object({ type: required(word("priority", "default", "flex", "reserved")) }),
  outputConfig: object({
    textFormat: object({
      type: required(word("json_schema")),
      structure: required(union({ jsonSchema: object({ schema: required(string({ min: 1 })), name: string(), description: string() }) })),
    }),
    effort: word("low", "medium", "high", "xhigh", "max"),
  }),
};

export const converseShape = object({ ...counted(message), ...rest });
export const midSystemShape = object({ ...counted(midSystemMessage), ...rest });
export const countTokensShape = object({
  input: required(object({ converse: object(counted(message)), invokeModel: object({ body: anything }) })),
});
