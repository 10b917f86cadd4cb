/** Failures of a server that speaks Responses: replies with an error status, failed answers inside a stream or a 200. */
import type { ResponseHeaders } from "../../core/dialect.ts";
import type { GatewayError } from "../../core/error.ts";
import { isJsonObject, type JsonValue } from "../../core/json.ts";
import { readRetryAfter } from "../../core/retry-after.ts";
import { type ErrorWords, errorWords, readErrorWords, upstreamError } from "../../core/upstream-error.ts";

export function readError(status: number, body: string, headers: ResponseHeaders, provider: string): GatewayError {
  const requestId = headers("x-request-id") ?? headers("request-id");
  return upstreamError({ provider, status, ...readErrorWords(body), requestId, retryAfterMs: readRetryAfter(headers) });
}

/** Codes of a failed answer that are about the request. */
const requestCodes = /^(?:invalid_|image_|empty_image|unsupported_image|failed_to_download_image|bio_policy|data_residency)/;

/** A `response` object that failed, an error event, or an error object where an answer should have been. */
export function errorInAnswer(value: JsonValue, provider: string, midStream: boolean): GatewayError {
  const words = wordsOf(value);
  const isRequests = requestCodes.test(words.code ?? "") && words.code !== "invalid_api_key";
  return upstreamError({
    provider,
    status: midStream ? 0 : 200,
    midStream,
    ...words,
    ...(isRequests ? { reason: "invalid_request", retryable: false } : {}),
  });
}

/** `type` of the event `error` is no kind of failure. */
function wordsOf(value: JsonValue): ErrorWords {
  if (!isJsonObject(value) || isJsonObject(value.error) || value.type !== "error") return errorWords(value);
  const { type: _type, sequence_number: _number, ...rest } = value;
  return errorWords(rest);
}

/** An answer that was stopped at the provider. */
export function cancelledAnswer(provider: string, midStream: boolean): GatewayError {
  const status = midStream ? 0 : 200;
  return upstreamError({ provider, status, midStream, message: "its answer was cancelled", reason: "cancelled", retryable: false });
}

/** An answer that cannot be read, or that ended before its end. */
export function brokenAnswer(provider: string, what: string, midStream: boolean): GatewayError {
  return upstreamError({ provider, status: midStream ? 0 : 200, midStream, message: what, reason: "provider_error", retryable: true });
}
