/** One structured log line for each attempt, from the same settlement as its ledger row. */
import { UsageBasis } from "../../gen/dragoman/v1/usage_pb.ts";
import type { AttemptEnding, CallOutcome, LedgerTap } from "../core/ledger.ts";
import type { Logger } from "../core/log.ts";
import { traceFields } from "../core/tracing.ts";

const basisNames: Record<number, string> = {
  [UsageBasis.PROVIDER]: "provider",
  [UsageBasis.COUNTED]: "counted",
  [UsageBasis.ESTIMATED]: "estimated",
};

export class AttemptLog implements LedgerTap {
  readonly #log: Logger;

  constructor({ log }: { readonly log: Logger }) {
    this.#log = log;
  }

  attemptEnded({ call, attempt, settlement, error }: AttemptEnding): void {
    const { usage } = settlement;
    this.#log.info("attempt", {
      request_id: call.requestId,
      ...traceFields(call),
      usage_id: settlement.usageId,
      principal: call.principal.id,
      surface: call.surface,
      dialect: call.dialect,
      operation: call.operation,
      number: attempt.number,
      target: attempt.target,
      status: settlement.status,
      state: settlement.state,
      error_reason: attempt.errorReason || undefined,
      error_message: error?.messageForLog,
      http_status: settlement.httpStatus || undefined,
      upstream_request_id: settlement.upstreamRequestId || undefined,
      started_after_ms: attempt.startedAfterMs,
      duration_ms: settlement.durationMs,
      first_content_ms: settlement.firstContentMs,
      input_tokens: usage?.inputTokens,
      output_tokens: usage?.outputTokens,
      cache_read_tokens: usage?.cacheReadTokens,
      cache_write_tokens: usage?.cacheWriteTokens,
      reasoning_tokens: usage?.reasoningTokens,
      cost_nano_usd: settlement.costNano?.toString(),
      usage_basis: usage === undefined ? undefined : basisNames[usage.basis],
    });
  }

  /** A failed call says so once, with its cause; what its attempts cost is in their own lines. */
  callEnded({ call, requestedModel, error, durationMs }: CallOutcome): void {
    const fields = {
      request_id: call.requestId,
      ...traceFields(call),
      client_request_id: call.clientRequestId,
      principal: call.principal.id,
      surface: call.surface,
      operation: call.operation,
      model: requestedModel,
      attempts: call.attempts.length,
      duration_ms: Math.round(durationMs),
    };
    if (error === undefined) this.#log.debug("call", fields);
    else if (error.reason === "internal") this.#log.error("call failed", { ...fields, error_reason: error.reason, error });
    else this.#log.info("call failed", { ...fields, error_reason: error.reason, error_message: error.messageForLog });
  }
}
