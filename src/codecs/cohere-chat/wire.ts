/** Names and words of Cohere's v2 API that both directions share. https://docs.cohere.com/v2/reference/chat */
import { FinishReason, MediaDetail } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { Extras } from "../../core/event.ts";
import { isJsonObject, type JsonObject } from "../../core/json.ts";
import { unknownMembers as unknownMembersOf } from "../../core/members.ts";

/** The wire format's name in extras_json, opaque parts and reports. */
export const formatName = "cohere-chat";

/** `finish_reason` to core; a word that is not here is UNSPECIFIED. ERROR is a failure, and no finish. */
export const finishReasons: Readonly<Record<string, FinishReason>> = {
  COMPLETE: FinishReason.STOP,
  STOP_SEQUENCE: FinishReason.STOP_SEQUENCE,
  MAX_TOKENS: FinishReason.LENGTH,
  TOOL_CALL: FinishReason.TOOL_CALLS,
  TIMEOUT: FinishReason.TIME_LIMIT,
};

/** How closely an image is looked at, and whether that is just what was asked for. */
export const imageDetails: Readonly<Partial<Record<MediaDetail, { readonly word: string; readonly exact: boolean }>>> = {
  [MediaDetail.AUTO]: { word: "auto", exact: true },
  [MediaDetail.LOW]: { word: "low", exact: true },
  [MediaDetail.MEDIUM]: { word: "auto", exact: false },
  [MediaDetail.HIGH]: { word: "high", exact: true },
  [MediaDetail.ORIGINAL]: { word: "high", exact: false },
};

/** Image types that the API takes as data. */
export const imageTypes: ReadonlySet<string> = new Set(["image/jpeg", "image/png", "image/gif", "image/webp"]);

/** Marks, among the unknown members of a reasoning part, one that is the plan beside tool calls and no thinking. */
export const planMark = "tool_plan";

/** A member that is an object, else an empty one. */
export function objectMember(object: JsonObject, name: string): JsonObject {
  const value = object[name];
  return isJsonObject(value) ? value : {};
}

/** The members that are not known, as extras_json holds them; nulls are kept. */
export function unknownMembers(object: JsonObject, known: ReadonlySet<string>): Extras {
  return unknownMembersOf(object, known, formatName);
}
