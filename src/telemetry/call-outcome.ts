/** How a call ended, in the words of the metrics (surfaces.md 8). */
import type { GatewayError } from "../core/error.ts";
import { errorKind } from "../core/openai-error.ts";

export type OutcomeLabel = "ok" | "error" | "rate_limited" | "admission_rejected";

export function outcomeOf(error: GatewayError | undefined): OutcomeLabel {
  if (error === undefined) return "ok";
  if (isRateLimit(error)) return "rate_limited";
  return admissionReason(error) === undefined ? "error" : "admission_rejected";
}

/** Whether a limit of the gateway refused the call; a provider's 429 is the provider's. */
export function isRateLimit({ reason, details }: GatewayError): boolean {
  if (details.upstream !== undefined) return false;
  return reason === "rate_limited" || reason === "concurrency_limit_exceeded" || reason === "quota_exhausted";
}

/** Why admission refused: no place, or nobody who could serve. Undefined where it did not. */
export function admissionReason(error: GatewayError): "queue_full" | "unavailable" | undefined {
  if (error.reason === "queue_full") return "queue_full";
  return error.reason === "no_target" ? "unavailable" : undefined;
}

/** `error_kind` of surfaces.md 2.7; who left made no wrong request. */
export function kindLabel(error: GatewayError): string {
  return error.reason === "cancelled" ? "cancelled" : errorKind(error);
}
