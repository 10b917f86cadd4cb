/** A failure inside an answer, in the words of a `response` object's error. */
import type { GatewayError, Reason } from "../../core/error.ts";

/** The codes that the API documents and clients act on; every other failure is the server's. */
const codes: Readonly<Partial<Record<Reason, string>>> = {
  rate_limited: "rate_limit_exceeded",
  concurrency_limit_exceeded: "rate_limit_exceeded",
  quota_exhausted: "insufficient_quota",
  context_exceeded: "context_length_exceeded",
  invalid_request: "invalid_prompt",
  guardrail_blocked: "invalid_prompt",
};

export function responseError({ reason, message }: GatewayError): { code: string; message: string } {
  return { code: codes[reason] ?? "server_error", message };
}
