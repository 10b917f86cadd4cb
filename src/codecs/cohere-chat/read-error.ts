/**
 * Failures as the API words them: `{message, id?}` with a status, or the end of a stream with `error`.
 * https://docs.cohere.com/v2/reference/errors
 */
import type { ResponseHeaders } from "../../core/dialect.ts";
import type { GatewayError } from "../../core/error.ts";
import type { JsonObject } from "../../core/json.ts";
import { textMember } from "../../core/members.ts";
import { readRetryAfter } from "../../core/retry-after.ts";
import { errorWords, readErrorWords, upstreamError } from "../../core/upstream-error.ts";

/** A trial key's calls of the month are used up: repeating does not help. */
const monthlyLimit = /\/\s*month/i;

/** A reply with an error status. Never throws. */
export function readError(status: number, body: string, headers: ResponseHeaders, provider: string): GatewayError {
  const words = readErrorWords(body);
  const isBudget = status === 429 && monthlyLimit.test(words.message ?? "");
  return upstreamError({
    ...words,
    provider,
    status,
    requestId: headers("x-debug-trace-id") ?? headers("x-request-id"),
    retryAfterMs: readRetryAfter(headers),
    ...(isBudget ? { reason: "quota_exhausted", retryable: false } : {}),
  });
}

/** A record or body that is an error where an answer was due. */
export function readErrorRecord(record: JsonObject, provider: string, midStream: boolean): GatewayError {
  return upstreamError({ ...errorWords(record), provider, status: midStream ? 0 : 200, midStream });
}

/** An answer that ended with `finish_reason` ERROR, or with `error` at its end. */
export function failedAnswer(end: JsonObject, provider: string, midStream: boolean): GatewayError {
  const message = textMember(end, "error") || "the generation failed";
  return upstreamError({ message, type: textMember(end, "finish_reason"), provider, status: midStream ? 0 : 200, midStream });
}
