/**
 * Failures as the API words them: `{type: "error", error: {type, message, details?}, request_id}`, as a reply with an
 * error status, as a reply that claims success, or as the event `error` inside a stream.
 * https://platform.claude.com/docs/en/api/errors
 */
import type { ResponseHeaders } from "../../core/dialect.ts";
import type { GatewayError } from "../../core/error.ts";
import { isJsonObject, type JsonObject, type JsonValue, tryParseJson, upstreamJsonLimits } from "../../core/json.ts";
import { objectMember, textMember } from "../../core/members.ts";
import { readRetryAfter } from "../../core/retry-after.ts";
import { type ErrorWords, errorWords, readErrorWords, upstreamError } from "../../core/upstream-error.ts";

/** A reply with an error status. Never throws. */
export function readError(status: number, body: string, headers: ResponseHeaders, provider: string): GatewayError {
  const value = tryParseJson(body, upstreamJsonLimits);
  return upstreamError({
    ...(value === undefined ? readErrorWords(body) : wordsOf(value)),
    provider,
    status,
    requestId: headers("request-id") ?? requestId(value),
    retryAfterMs: readRetryAfter(headers),
  });
}

/** An error object where an answer was due. */
export function readErrorEvent(value: JsonObject, provider: string, midStream: boolean): GatewayError {
  return upstreamError({ ...wordsOf(value), provider, status: midStream ? 0 : 200, midStream, requestId: requestId(value) });
}

/** The finer code stands in `error.details.error_code`. */
function wordsOf(value: JsonValue): ErrorWords {
  const words = errorWords(value);
  const details = isJsonObject(value) ? objectMember(objectMember(value, "error") ?? {}, "details") : undefined;
  const code = details === undefined ? "" : textMember(details, "error_code");
  return code === "" ? words : { ...words, code };
}

function requestId(value: JsonValue | undefined): string | undefined {
  return isJsonObject(value) ? textMember(value, "request_id") : undefined;
}
