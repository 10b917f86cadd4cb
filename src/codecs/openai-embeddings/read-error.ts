/** A reply with an error status of a server that speaks OpenAI's formats. */
import type { ResponseHeaders } from "../../core/dialect.ts";
import type { GatewayError } from "../../core/error.ts";
import { readRetryAfter } from "../../core/retry-after.ts";
import { readErrorWords, upstreamError } from "../../core/upstream-error.ts";

export function readError(status: number, body: string, headers: ResponseHeaders, provider: string): GatewayError {
  const requestId = headers("x-request-id") ?? headers("request-id");
  return upstreamError({ provider, status, ...readErrorWords(body), requestId, retryAfterMs: readRetryAfter(headers) });
}
