/**
 * Names and words of Amazon Bedrock's Converse API that both directions share.
 * https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
 */
import { FinishReason } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { Extras } from "../../core/event.ts";
import type { JsonObject } from "../../core/json.ts";
import { unknownMembers as unknownMembersOf } from "../../core/members.ts";

/** The wire format's name in extras_json, opaque parts and reports. */
export const formatName = "bedrock-converse";

/** Media type of streamed answers. */
export const eventStreamType = "application/vnd.amazon.eventstream";

/** Before the type of a failure, in the `event` of a frame that the service marked as one. */
export const exceptionMark = "exception:";

/** `stopReason` to core; a word that is not here is UNSPECIFIED. */
export const finishReasons: Readonly<Record<string, FinishReason>> = {
  end_turn: FinishReason.STOP,
  stop_sequence: FinishReason.STOP_SEQUENCE,
  max_tokens: FinishReason.LENGTH,
  tool_use: FinishReason.TOOL_CALLS,
  content_filtered: FinishReason.CONTENT_FILTER,
  guardrail_intervened: FinishReason.GUARDRAIL,
  malformed_model_output: FinishReason.MALFORMED,
  malformed_tool_use: FinishReason.MALFORMED,
  model_context_window_exceeded: FinishReason.CONTEXT_EXCEEDED,
};

/** Lifetimes of cache entries in seconds, shortest first; the first is the default. */
export const cacheLifetimes = [
  { ttl: "5m", seconds: 300 },
  { ttl: "1h", seconds: 3600 },
] as const;

/** Most cache points of one request. */
export const maxCachePoints = 4;

/** Least `budget_tokens` of thinking. */
export const minThinkingBudget = 1024;

/** The members that are not known, as extras_json holds them; nulls are kept. */
export function unknownMembers(object: JsonObject, known: ReadonlySet<string>): Extras {
  return unknownMembersOf(object, known, formatName);
}
