/**
 * Names and words of the Gemini API (generateContent and its kin) that both directions share.
 * https://ai.google.dev/api/generate-content
 */

import { ServiceTier } from "../../../gen/dragoman/v1/call_pb.ts";
import { FinishReason, HostedToolKind, MediaDetail } from "../../../gen/dragoman/v1/generate_pb.ts";
import { isJsonObject, type JsonObject, type JsonValue, jsonText } from "../../core/json.ts";

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

/** A member that is text, else the empty string. */
export function textMember(object: JsonObject, name: string): string {
  const value = object[name];
  return typeof value === "string" ? value : "";
}

/** A member that is a number, else undefined. */
export function numberMember(object: JsonObject, name: string): number | undefined {
  const value = object[name];
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}

/** A member that is an object, else undefined. */
export function objectMember(object: JsonObject, name: string): JsonObject | undefined {
  const value = object[name];
  return isJsonObject(value) ? value : undefined;
}

/** The objects of a member that is an array; none where it is not. */
export function objectsMember(object: JsonObject, name: string): JsonObject[] {
  const value = object[name];
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
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
