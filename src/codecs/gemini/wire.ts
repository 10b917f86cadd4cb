/**
 * Names and words of the Gemini API (generateContent and its kin) that both directions share.
 * https://ai.google.dev/api/generate-content
 */
import { ServiceTier } from "../../../gen/dragoman/v1/call_pb.ts";
import { EmbedTask } from "../../../gen/dragoman/v1/embed_pb.ts";
import { FinishReason, HostedToolKind, MediaDetail, Modality, ReasoningEffort } from "../../../gen/dragoman/v1/generate_pb.ts";
import { type JsonObject, type JsonValue, jsonText } from "../../core/json.ts";

/** The wire format's name in extras_json, opaque parts and reports. */
export const formatName = "gemini";

/** Family of thought signatures. */
export const signatureFamily = "gemini";

/** Google's documented value for calls that no Gemini made: https://ai.google.dev/gemini-api/docs/thought-signatures */
export const bypassSignature = "skip_thought_signature_validator";

/** Ids of tool calls that the gateway makes, because the API may give none; they are not sent back. */
export const madeIdPrefix = "dgm_";

/** `finishReason` to core; a word that is not here is UNSPECIFIED. */
export const finishReasons: Readonly<Record<string, FinishReason>> = {
  STOP: FinishReason.STOP,
  MAX_TOKENS: FinishReason.LENGTH,
  SAFETY: FinishReason.CONTENT_FILTER,
  BLOCKLIST: FinishReason.CONTENT_FILTER,
  PROHIBITED_CONTENT: FinishReason.CONTENT_FILTER,
  SPII: FinishReason.CONTENT_FILTER,
  IMAGE_SAFETY: FinishReason.CONTENT_FILTER,
  IMAGE_PROHIBITED_CONTENT: FinishReason.CONTENT_FILTER,
  IMAGE_OTHER: FinishReason.CONTENT_FILTER,
  MODEL_ARMOR: FinishReason.CONTENT_FILTER,
  RECITATION: FinishReason.RECITATION,
  IMAGE_RECITATION: FinishReason.RECITATION,
  CONTINUATION: FinishReason.PAUSE,
  MALFORMED_FUNCTION_CALL: FinishReason.MALFORMED,
  UNEXPECTED_TOOL_CALL: FinishReason.MALFORMED,
  MALFORMED_RESPONSE: FinishReason.MALFORMED,
  TOO_MANY_TOOL_CALLS: FinishReason.MALFORMED,
  NO_IMAGE: FinishReason.OTHER,
  LANGUAGE: FinishReason.OTHER,
  OTHER: FinishReason.OTHER,
};

/** Core to `finishReason`; what is not here is written as STOP (contract.md 5). */
const finishWords: Readonly<Partial<Record<FinishReason, string>>> = {
  [FinishReason.LENGTH]: "MAX_TOKENS",
  [FinishReason.CONTEXT_EXCEEDED]: "MAX_TOKENS",
  [FinishReason.CONTENT_FILTER]: "SAFETY",
  [FinishReason.REFUSAL]: "SAFETY",
  [FinishReason.GUARDRAIL]: "SAFETY",
  [FinishReason.RECITATION]: "RECITATION",
  [FinishReason.PAUSE]: "CONTINUATION",
  [FinishReason.MALFORMED]: "MALFORMED_FUNCTION_CALL",
  [FinishReason.TIME_LIMIT]: "OTHER",
  [FinishReason.OTHER]: "OTHER",
};

/** The provider's own word where it is one of the API's for that reason. */
export function finishWord(reason: FinishReason, rawReason: string): string {
  const known = Object.hasOwn(finishReasons, rawReason) ? finishReasons[rawReason] : undefined;
  return known === reason ? rawReason : (finishWords[reason] ?? "STOP");
}

/** Tiers that a request can ask for. */
export const serviceTiers: Readonly<Partial<Record<ServiceTier, string>>> = {
  [ServiceTier.STANDARD]: "standard",
  [ServiceTier.FLEX]: "flex",
  [ServiceTier.PRIORITY]: "priority",
};

/** Resolutions of one part's media. */
export const mediaResolutions: Readonly<Partial<Record<MediaDetail, string>>> = {
  [MediaDetail.LOW]: "MEDIA_RESOLUTION_LOW",
  [MediaDetail.MEDIUM]: "MEDIA_RESOLUTION_MEDIUM",
  [MediaDetail.HIGH]: "MEDIA_RESOLUTION_HIGH",
  [MediaDetail.ORIGINAL]: "MEDIA_RESOLUTION_ULTRA_HIGH",
};

/** Tools that Google runs and that work without configuration. */
export const hostedTools: Readonly<Partial<Record<HostedToolKind, string>>> = {
  [HostedToolKind.WEB_SEARCH]: "googleSearch",
  [HostedToolKind.WEB_FETCH]: "urlContext",
  [HostedToolKind.CODE_EXECUTION]: "codeExecution",
};

/** What the tools of the API do; the first of a kind in `hostedTools` stands in for tools of other formats. */
export const hostedKinds: Readonly<Record<string, HostedToolKind>> = {
  googleSearch: HostedToolKind.WEB_SEARCH,
  googleSearchRetrieval: HostedToolKind.WEB_SEARCH,
  enterpriseWebSearch: HostedToolKind.WEB_SEARCH,
  urlContext: HostedToolKind.WEB_FETCH,
  codeExecution: HostedToolKind.CODE_EXECUTION,
  fileSearch: HostedToolKind.FILE_SEARCH,
  computerUse: HostedToolKind.COMPUTER,
  mcpServers: HostedToolKind.MCP,
};

export const thinkingLevels: Readonly<Record<string, ReasoningEffort>> = {
  MINIMAL: ReasoningEffort.MINIMAL,
  LOW: ReasoningEffort.LOW,
  MEDIUM: ReasoningEffort.MEDIUM,
  HIGH: ReasoningEffort.HIGH,
};

/** `responseModalities`. */
export const modalities: Readonly<Record<string, Modality>> = {
  TEXT: Modality.TEXT,
  AUDIO: Modality.AUDIO,
  IMAGE: Modality.IMAGE,
};

/** `taskType` of embeddings. */
export const taskTypes: Readonly<Partial<Record<EmbedTask, string>>> = {
  [EmbedTask.SEARCH_QUERY]: "RETRIEVAL_QUERY",
  [EmbedTask.SEARCH_DOCUMENT]: "RETRIEVAL_DOCUMENT",
  [EmbedTask.SIMILARITY]: "SEMANTIC_SIMILARITY",
  [EmbedTask.CLASSIFICATION]: "CLASSIFICATION",
  [EmbedTask.CLUSTERING]: "CLUSTERING",
  [EmbedTask.QUESTION_ANSWERING]: "QUESTION_ANSWERING",
  [EmbedTask.FACT_VERIFICATION]: "FACT_VERIFICATION",
  [EmbedTask.CODE_QUERY]: "CODE_RETRIEVAL_QUERY",
};

/** A table from core to words, the other way round. */
export function byWord<Value extends number>(words: Readonly<Partial<Record<Value, string>>>): Readonly<Record<string, Value>> {
  return Object.fromEntries(Object.entries(words).map(([value, word]) => [word, Number(value)])) as Record<string, Value>;
}

/** Members that say something about a part, not what it is. */
const sideMembers: ReadonlySet<string> = new Set([
  "thought",
  "thoughtSignature",
  "videoMetadata",
  "mediaResolution",
  "mediaProcessing",
  "speechMetadata",
  "partMetadata",
]);

/** What an opaque part is: the name of its content. */
export function partType(part: JsonObject): string {
  return Object.keys(part).find((name) => !sideMembers.has(name)) ?? "part";
}

/** Kind of media by its type: image, audio, video, or else a file. */
export function mediaKindOf(mimeType: string): "image" | "audio" | "video" | "file" {
  const [top] = mimeType.toLowerCase().split("/");
  return top === "image" || top === "audio" || top === "video" ? top : "file";
}

/** Where the Files API keeps what clients upload: https://ai.google.dev/api/files */
export const filesUri = "https://generativelanguage.googleapis.com/v1beta/";

/** Media types by the end of an address, for addresses that come without one. */
const typesByExtension: Readonly<Record<string, string>> = {
  png: "image/png",
  jpg: "image/jpeg",
  jpeg: "image/jpeg",
  gif: "image/gif",
  webp: "image/webp",
  heic: "image/heic",
  pdf: "application/pdf",
  txt: "text/plain",
  html: "text/html",
  csv: "text/csv",
  json: "application/json",
  wav: "audio/wav",
  mp3: "audio/mpeg",
  flac: "audio/flac",
  ogg: "audio/ogg",
  mp4: "video/mp4",
  mov: "video/quicktime",
  webm: "video/webm",
};

/** Undefined where the end of the address says nothing. */
export function typeByExtension(url: string): string | undefined {
  const extension = /\.([a-z0-9]{2,5})(?:[?#]|$)/i.exec(url)?.[1]?.toLowerCase() ?? "";
  return typesByExtension[extension];
}

/** Most `stopSequences`. */
export const maxStopSequences = 5;

/** Most requests of one batchEmbedContents. */
export const maxEmbedInputs = 100;

/** `models/{id}` as paths and embedding requests name a model; ids that name their collection stay as they are. */
export function modelResource(model: string): string {
  return /^(?:models|tunedModels)\//.test(model) ? model : `models/${model}`;
}

/** The path of a method of a model. A slash or colon inside the id is part of the id. */
export function methodPath(model: string, method: string): string {
  const resource = modelResource(model);
  const slash = resource.indexOf("/");
  return `/${resource.slice(0, slash)}/${encodeURIComponent(resource.slice(slash + 1))}:${method}`;
}

/** The members of an object that are not known, each as JSON text. */
export function unknownMembers(object: JsonObject, known: ReadonlySet<string>): Map<string, string> {
  const unknown = new Map<string, string>();
  for (const name of Object.keys(object)) if (!known.has(name)) unknown.set(name, jsonText(object[name] as JsonValue));
  return unknown;
}

/** JSON text of an object of such members. */
export function membersText(members: ReadonlyMap<string, string>): string {
  return `{${[...members].map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(",")}}`;
}

/** Members as extras_json holds them. */
export function extrasOf(members: ReadonlyMap<string, string>): Record<string, string> {
  return members.size === 0 ? {} : { [formatName]: membersText(members) };
}
