/** Failures of a server that speaks OpenAI's formats: replies with an error status, errors inside a stream or a 200. */
import type { ResponseHeaders } from "../../core/dialect.ts";
import type { GatewayError } from "../../core/error.ts";
import type { JsonValue } from "../../core/json.ts";
import { readRetryAfter } from "../../core/retry-after.ts";
import { errorWords, readErrorWords, upstreamError } from "../../core/upstream-error.ts";

export function readError(status: number, body: string, headers: ResponseHeaders, provider: string): GatewayError {
  const requestId = headers("x-request-id") ?? headers("request-id");
  return upstreamError({ provider, status, ...readErrorWords(body), requestId, retryAfterMs: readRetryAfter(headers) });
}

/** An error object (or its envelope) where an answer should have been. */
export function errorInAnswer(value: JsonValue, provider: string, midStream: boolean): GatewayError {
  return upstreamError({ provider, status: midStream ? 0 : 200, midStream, ...errorWords(value) });
}

/** An answer that cannot be read, or that ended before its end. */
export function brokenAnswer(provider: string, what: string, midStream: boolean): GatewayError {
  return upstreamError({ provider, status: midStream ? 0 : 200, midStream, message: what, reason: "provider_error", retryable: true });
}
