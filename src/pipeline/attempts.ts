/**
 * Trying targets in order: the unit of billing is the attempt. Another target is tried only before the commit point and
 * only where a repeat can help (reliability.md 2.9).
 */
import { create } from "@bufbuild/protobuf";
import { type Attempt, AttemptSchema, AttemptStatus, type Usage } from "../../gen/dragoman/v1/usage_pb.ts";
import { type AttemptCall, type Call, stopReason, throwIfStopped } from "../core/call.ts";
import type { Clock } from "../core/clock.ts";
import { GatewayError, type Reason } from "../core/error.ts";
import { ulid } from "../core/id.ts";
import type { Ledger } from "../core/ledger.ts";
import type { Provider } from "../core/provider.ts";
import type { Router } from "../core/routing.ts";
import type { Target } from "../core/target.ts";

export interface AttemptOptions {
  readonly router: Router;
  readonly ledger: Ledger;
  readonly clock: Clock;
  /** HTTP statuses of a provider after which another target is tried. */
  readonly retryableStatusCodes: ReadonlySet<number>;
}

/** Failures that, without a provider's words, are the gateway's own before anything was sent. */
const ownRefusals: ReadonlySet<Reason> = new Set(["untranslatable", "invalid_request", "unsupported", "model_not_found"]);

/** One attempt that is running. */
export class RunningAttempt {
  readonly call: AttemptCall;
  readonly target: Target;
  readonly provider: Provider;
  readonly #options: AttemptOptions;
  readonly #startedAt: number;
  #ended = false;

  constructor(call: Call, target: Target, provider: Provider, options: AttemptOptions) {
    this.#options = options;
    this.#startedAt = options.clock.now();
    this.target = target;
    this.provider = provider;
    const attempt = create(AttemptSchema, {
      number: call.attempts.length + 1,
      provider: target.provider,
      target: target.id,
      upstreamModel: target.model,
      startedAfterMs: Math.max(0, Math.round(this.#startedAt - call.startedAt)),
      usageId: ulid(),
    });
    call.attempts.push(attempt);
    call.translation.length = 0;
    this.call = { ...call, attempt, buffered: call.operation === "complete" };
  }

  get attempt(): Attempt {
    return this.call.attempt;
  }

  markFirstContent(): void {
    this.attempt.firstContentMs ??= this.#elapsed();
  }

  /** Closes the record; the first call counts. `usage` is absent where for certain nothing was billed. */
  end(usage: Usage | undefined, error?: GatewayError): void {
    if (this.#ended) return;
    this.#ended = true;
    const { attempt } = this;
    attempt.durationMs = this.#elapsed();
    attempt.status = error === undefined ? AttemptStatus.SUCCESS : statusOf(error);
    attempt.errorReason = error === undefined ? "" : error.reason.toUpperCase();
    if (usage !== undefined) attempt.usage = usage;
    this.#options.ledger.attemptEnded(this.call, attempt, error);
  }

  /** Whether the provider may have begun to work, and so to bill: it was reached, and neither it nor we refused. */
  maybeBilled(error: GatewayError): boolean {
    if (error.details.undispatched || this.attempt.httpStatus >= 400) return false;
    return error.details.upstream !== undefined || !ownRefusals.has(error.reason);
  }

  #elapsed(): number {
    return Math.max(0, Math.round(this.#options.clock.now() - this.#startedAt));
  }
}

/**
 * Runs `tryOne` on the call's targets until one succeeds. `tryOne` ends its attempt itself when it succeeds or fails.
 * Throws the last failure where all failed.
 */
export async function tryTargets<Reply>(
  call: Call,
  maxAttempts: number,
  options: AttemptOptions,
  tryOne: (running: RunningAttempt) => Promise<Reply>,
): Promise<Reply> {
  let last: GatewayError | undefined;
  for (const target of call.targets.slice(0, maxAttempts)) {
    throwIfStopped(call);
    const provider = options.router.provider(target.provider);
    if (provider === undefined) continue;
    try {
      return await tryOne(new RunningAttempt(call, target, provider, options));
    } catch (thrown) {
      last = call.signal.aborted ? stopReason(call.signal) : GatewayError.from(thrown);
      if (!mayTryAnother(last, options.retryableStatusCodes)) throw last;
    }
  }
  throw last ?? new GatewayError("no_target", "no provider that serves this model is configured now");
}

function mayTryAnother(error: GatewayError, retryableStatusCodes: ReadonlySet<number>): boolean {
  if (error.reason === "cancelled") return false;
  const status = error.details.upstream?.httpStatus ?? 0;
  // A failure inside a stream or a 200 has no status that could be on the list.
  return status < 400 ? error.retryable : retryableStatusCodes.has(status);
}

function statusOf({ reason }: GatewayError): AttemptStatus {
  if (reason === "cancelled") return AttemptStatus.CANCELLED;
  return reason === "timeout" ? AttemptStatus.TIMEOUT : AttemptStatus.ERROR;
}
