/**
 * Names and words of Anthropic's Messages API that both directions share.
 * https://platform.claude.com/docs/en/api/messages
 */
import { FinishReason } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { Extras } from "../../core/event.ts";
import { isJsonObject, type JsonObject, type JsonValue, jsonText } from "../../core/json.ts";

/** The wire format's name in extras_json, opaque parts and reports. */
export const formatName = "anthropic-messages";

/** Family of thinking signatures; Bedrock and Vertex accept the same. */
export const signatureFamily = "anthropic";

/** `stop_reason` to core; a word that is not here is UNSPECIFIED. */
export const finishReasons: Readonly<Record<string, FinishReason>> = {
  end_turn: FinishReason.STOP,
  stop_sequence: FinishReason.STOP_SEQUENCE,
  max_tokens: FinishReason.LENGTH,
  tool_use: FinishReason.TOOL_CALLS,
  pause_turn: FinishReason.PAUSE,
  refusal: FinishReason.REFUSAL,
  model_context_window_exceeded: FinishReason.CONTEXT_EXCEEDED,
};

/** Lifetimes of cache entries in seconds, shortest first; the first is the default. */
export const cacheLifetimes = [
  { ttl: "5m", seconds: 300 },
  { ttl: "1h", seconds: 3600 },
] as const;

/** Most `cache_control` markers of one request, the automatic one included. */
export const maxCacheMarkers = 4;

/** Image types that the API takes. */
export const imageTypes: ReadonlySet<string> = new Set(["image/jpeg", "image/png", "image/gif", "image/webp"]);

/** Least `thinking.budget_tokens`. */
export const minThinkingBudget = 1024;

/** Block types that hold reasoning. */
export const thinkingTypes: ReadonlySet<string> = new Set(["thinking", "redacted_thinking"]);

/** A member that is text, else the empty string. */
export function textMember(object: JsonObject, name: string): string {
  const value = object[name];
  return typeof value === "string" ? value : "";
}

/** A member that is an object, else undefined. */
export function objectMember(object: JsonObject, name: string): JsonObject | undefined {
  const value = object[name];
  return isJsonObject(value) ? value : undefined;
}

/** The members that are not known, as extras_json holds them; nulls are kept. */
export function unknownMembers(object: JsonObject, known: ReadonlySet<string>): Extras {
  let text = "";
  for (const name of Object.keys(object)) {
    if (!known.has(name)) text += `${text === "" ? "" : ","}${JSON.stringify(name)}:${jsonText(object[name] as JsonValue)}`;
  }
  return text === "" ? {} : { [formatName]: `{${text}}` };
}
