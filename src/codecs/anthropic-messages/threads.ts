/**
 * Message threads: conversations that the provider keeps. The calls after the first hold their news alone, which would mean
 * nothing to another target, to guards and to limits. So they are refused in the words on which the SDKs send the whole
 * conversation instead, their tool runner by itself. Source: ThreadUnsupportedRequestError of @anthropic-ai/sdk.
 */
import type { FieldViolation } from "../../core/error.ts";
import type { Fields } from "../../core/fields.ts";
import type { JsonObject } from "../../core/json.ts";

const threadMember = "thread";

/** Throws invalid_request where a call belongs to a thread. */
export function refuseThread(fields: Fields): void {
  if (fields.has(threadMember)) fields.fail(threadMember, "is not kept between calls here: send the whole conversation without it");
}

/** What stands beside that refusal; undefined for every other failure. */
export function threadDetails(violations: readonly FieldViolation[] | undefined): JsonObject | undefined {
  if (violations?.length !== 1 || violations[0]?.field !== threadMember) return undefined;
  return { error_code: "thread_unsupported_request", unsupported: [] };
}
