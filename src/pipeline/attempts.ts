/**
 * Trying targets in order: the unit of billing is the attempt. Another target is tried only before the commit point and
 * only where a repeat can help (reliability.md 2.9). An attempt is reserved, dispatched, and then settled or released:
 * its intent is with the ledger before the first byte leaves, its settlement comes once, when it is over (3.2).
 */
import { type Attempt, AttemptStatus, type Usage } from "../../gen/dragoman/v1/usage_pb.ts";
import { type AttemptCall, type Call, stopReason, throwIfStopped } from "../core/call.ts";
import type { Clock } from "../core/clock.ts";
import { GatewayError, type Reason } from "../core/error.ts";
import { ulid } from "../core/id.ts";
import type { Ledger } from "../core/ledger.ts";
import type { LedgerSettlement } from "../core/ledger-row.ts";
import type { LimitLevel, ProviderPlace, ProviderQuotas } from "../core/limits.ts";
import type { Metrics } from "../core/metrics.ts";
import { newAttempt } from "../core/new-message.ts";
import { costOf, type Price, type PriceBook, pricingVersionOf } from "../core/pricing.ts";
import type { Provider } from "../core/provider.ts";
import { rateLimitHeaders } from "../core/rate-limit-headers.ts";
import type { Router } from "../core/routing.ts";
import type { Target } from "../core/target.ts";
import type { AttemptSpan } from "../core/tracing.ts";
import type { OutputMeter } from "../core/usage.ts";
import type { AttemptEndings } from "./attempt-endings.ts";
import { type BilledBy, type MostCostOptions, mostCostAt } from "./most-cost.ts";

/** Who is charged for a failed attempt: nobody, or the tenant. What the provider takes is kept in either case. */
export type ChargePolicy = "success_only" | "all_attempts";

/**
 * What is done when a client leaves its stream: `estimate` closes the upstream and bills what came, `drain` reads on for
 * the exact counts, `no_bill` closes it and bills nothing (a provider that stops its bill with the stream).
 */
export type DisconnectPolicy = "estimate" | "drain" | "no_bill";

export interface AttemptOptions extends Partial<MostCostOptions> {
  readonly router: Router;
  readonly ledger: Ledger;
  readonly clock: Clock;
  /** HTTP statuses of a provider after which another target is tried. */
  readonly retryableStatusCodes: ReadonlySet<number>;
  /** Absent: nothing is counted. */
  readonly metrics?: Metrics | undefined;
  /** Absent: no price is known. */
  readonly prices?: PriceBook | undefined;
  /** By default success_only. */
  readonly chargePolicy?: ChargePolicy | undefined;
  /** By provider; by default estimate. */
  readonly onDisconnect?: ((provider: string) => DisconnectPolicy) | undefined;
  /** Absent: no provider has a quota. */
  readonly quotas?: ProviderQuotas | undefined;
  /** Is told of every attempt that is over. */
  readonly endings: AttemptEndings;
}

/** What the attempts of a call have in common. */
export interface AttemptFacts {
  readonly requestedModel: string;
  /** Asked once, at the first attempt. */
  estimateInput(): number;
  /** Most output tokens that the caller allows; undefined where it does not say. */
  readonly maxOutputTokens: number | undefined;
  billedBy(): BilledBy;
}

/** An open stream says what it has cost after so much time or output, whichever comes first. */
const checkpointMs = 2_000;
const checkpointTokens = 1_000;

/** Failures that, without a provider's words, are the gateway's own before anything was sent. */
const ownRefusals: ReadonlySet<Reason> = new Set(["untranslatable", "invalid_request", "unsupported", "model_not_found"]);

/** One attempt that is running. */
export class RunningAttempt {
  readonly call: AttemptCall;
  readonly target: Target;
  readonly provider: Provider;
  readonly disconnectPolicy: DisconnectPolicy;
  /** Undefined where calls are not traced. */
  readonly span: AttemptSpan | undefined;
  readonly #options: AttemptOptions;
  readonly #startedAt: number;
  /** The same moment by the wall's clock, which may be set while the attempt runs: nothing else is asked of it. */
  readonly #startedWall: number;
  readonly #price: Price | undefined;
  readonly #place: TakenPlace | undefined;
  #begun = false;
  #dispatched = false;
  #ended = false;
  #checkpointAt: number;
  #checkpointTokens = 0;

  constructor(call: Call, target: Target, provider: Provider, options: AttemptOptions, place?: TakenPlace) {
    const { clock } = options;
    this.#options = options;
    this.#place = place;
    this.#startedAt = clock.now();
    this.#startedWall = clock.wall();
    this.#checkpointAt = this.#startedAt;
    this.disconnectPolicy = options.onDisconnect?.(target.provider) ?? "estimate";
    this.#price = options.prices?.price({
      tenant: call.principal.tenant,
      provider: target.provider,
      model: target.model,
      at: this.#startedWall,
    });
    this.target = target;
    this.provider = provider;
    const attempt = newAttempt();
    attempt.number = call.attempts.length + 1;
    attempt.provider = target.provider;
    attempt.target = target.id;
    attempt.upstreamModel = target.model;
    attempt.startedAfterMs = Math.max(0, Math.round(this.#startedAt - call.startedAt));
    attempt.usageId = ulid();
    call.attempts.push(attempt);
    call.translation.length = 0;
    this.span = call.span?.startAttempt(attempt, target);
    const { traceparent, tracestate = "" } = this.span ?? call;
    this.call = { ...call, attempt, buffered: call.operation === "complete", traceparent, tracestate };
  }

  get attempt(): Attempt {
    return this.call.attempt;
  }

  /**
   * Reserves: to be called, and waited for where there is something to wait for, before anything else. Throws GatewayError
   * `ledger_unavailable`: the attempt did not take place then.
   */
  begin({ requestedModel, estimateInput, maxOutputTokens, billedBy }: AttemptFacts): Promise<void> | undefined {
    const { attempt, call, target } = this;
    const { outputEstimate = 0, ceilingOf } = this.#options;
    const estimatedInputTokens = estimateInput();
    const bounds = { inputTokens: estimatedInputTokens, outputCap: maxOutputTokens, billedBy };
    const waiting = this.#options.ledger.begin({
      usageId: attempt.usageId,
      requestId: call.requestId,
      attempt: attempt.number,
      tenant: call.principal.tenant,
      project: call.principal.project,
      principal: call.principal.id,
      endUser: call.attribution?.endUserId ?? "",
      surface: call.surface,
      operation: call.operation,
      requestedModel,
      route: call.route,
      provider: target.provider,
      target: target.id,
      upstreamModel: target.model,
      reservedNano: mostCostAt(target, this.#price, call.route, bounds, { outputEstimate, ceilingOf }) ?? 0n,
      estimatedInputTokens,
      pricingVersion: this.#price?.version ?? "",
      startedAt: this.#startedWall,
    });
    if (waiting === undefined) this.#begun = true;
    return waiting?.then(() => {
      this.#begun = true;
    });
  }

  /** To be called right before the provider is: from here on something may have been billed. */
  markDispatched(): void {
    this.#dispatched = true;
  }

  /** To be called while output comes: tells the ledger now and then what the stream has cost. */
  checkpoint(meter: OutputMeter): void {
    const tokens = meter.outputTokens;
    const now = this.#options.clock.now();
    if (tokens - this.#checkpointTokens < checkpointTokens && now - this.#checkpointAt < checkpointMs) return;
    this.#checkpointTokens = tokens;
    this.#checkpointAt = now;
    this.#options.ledger.checkpoint(this.attempt.usageId, { inputTokens: meter.usage?.inputTokens, outputTokens: tokens });
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
    const billed = error?.reason === "cancelled" && this.disconnectPolicy === "no_bill" ? undefined : usage;
    if (billed !== undefined) attempt.usage = billed;
    const settlement = this.#settlement(billed, error);
    if (settlement.costNano !== undefined && billed !== undefined) attempt.costNanoUsd = settlement.costNano;
    attempt.pricingVersion = settlement.pricingVersion;
    this.span?.end(error);
    if (this.#begun) this.#options.ledger.settle({ call: this.call, attempt, settlement, error });
    const { inputTokens = 0, outputTokens = 0 } = usage ?? {};
    this.#place?.settle({ requests: settlement.state === "released" ? 0 : 1, tokens: inputTokens + outputTokens });
    this.#options.endings.ended(attempt);
  }

  /** Whether the provider may have begun to work, and so to bill: it was reached, and neither it nor we refused. */
  maybeBilled(error: GatewayError): boolean {
    return !this.#isUndispatched(error) && this.attempt.httpStatus < 400;
  }

  /** Whether for certain nothing reached the provider's model. */
  #isUndispatched(error: GatewayError | undefined): boolean {
    if (!this.#dispatched || error?.details.undispatched) return true;
    return error !== undefined && error.details.upstream === undefined && this.attempt.httpStatus === 0 && ownRefusals.has(error.reason);
  }

  #settlement(usage: Usage | undefined, error: GatewayError | undefined): LedgerSettlement {
    const { attempt } = this;
    const costNano = usage === undefined ? 0n : costOf(usage, this.#price);
    return {
      usageId: attempt.usageId,
      state: this.#isUndispatched(error) ? "released" : "settled",
      outcome: error?.reason ?? "success",
      status: statusNames[attempt.status] ?? "error",
      httpStatus: attempt.httpStatus,
      usage,
      costNano,
      chargeNano: this.#isCharged(error) ? costNano : 0n,
      pricingVersion: usage === undefined ? (this.#price?.version ?? "") : pricingVersionOf(usage, this.#price),
      endedAt: this.#startedWall + attempt.durationMs,
      durationMs: attempt.durationMs,
      firstContentMs: attempt.firstContentMs,
      upstreamRequestId: attempt.upstreamRequestId,
    };
  }

  /** A client that leaves pays for what it made begin; a failure is charged only where the policy says so. */
  #isCharged(error: GatewayError | undefined): boolean {
    return error === undefined || error.reason === "cancelled" || this.#options.chargePolicy === "all_attempts";
  }

  #elapsed(): number {
    return Math.max(0, Math.round(this.#options.clock.now() - this.#startedAt));
  }
}

type TakenPlace = Extract<ProviderPlace, { settle: unknown }>;
type NoPlace = Exclude<ProviderPlace, TakenPlace>;

/**
 * Runs `tryOne` on the call's targets until one succeeds. `tryOne` ends its attempt itself when it succeeds or fails. A target
 * whose provider's quota is used up is passed over, and is no attempt. Throws the last failure where all failed.
 */
export async function tryTargets<Reply>(
  call: Call,
  facts: AttemptFacts,
  options: AttemptOptions,
  tryOne: (running: RunningAttempt) => Promise<Reply>,
): Promise<Reply> {
  let last: GatewayError | undefined;
  let left = call.maxAttempts;
  const passed: NoPlace[] = [];
  for (const target of call.targets) {
    if (left === 0) break;
    throwIfStopped(call);
    const provider = options.router.provider(target.provider);
    if (provider === undefined) {
      left--;
      continue;
    }
    const entering = options.quotas?.enter(target.provider, tokensOf(facts, options));
    const place = entering instanceof Promise ? await entering : entering;
    if (place !== undefined && !("settle" in place)) {
      passed.push(place);
      continue;
    }
    left--;
    try {
      return await tryOne(new RunningAttempt(call, target, provider, options, place));
    } catch (thrown) {
      last = call.signal.aborted ? stopReason(call.signal) : GatewayError.from(thrown);
      if (!mayTryAnother(last, options.retryableStatusCodes)) throw last;
    }
  }
  if (last === undefined && passed.length > 0) throw quotasUsedUp(passed);
  if (last !== undefined) options.metrics?.targetsExhausted(call);
  throw last ?? new GatewayError("no_target", "no provider that serves this model is configured now");
}

function tokensOf({ estimateInput, maxOutputTokens }: AttemptFacts, { outputEstimate = 0 }: AttemptOptions): number {
  return estimateInput() + (maxOutputTokens ?? outputEstimate);
}

/** The client's own limits have room; what is used up is the gateway's account at every provider of the model. */
function quotasUsedUp(passed: readonly NoPlace[]): GatewayError {
  const levels: LimitLevel[] = passed.flatMap((place) => place.levels);
  return new GatewayError("rate_limited", "every provider of this model is sent as much as it takes in a minute; repeat the call later", {
    retryAfterMs: Math.min(...passed.map(({ waitMs }) => waitMs)),
    headers: rateLimitHeaders(levels),
    violations: levels.map(({ subjectId, field, limit }) => ({
      subject: `provider/${field}`,
      description: `${subjectId} takes ${limit} ${field.startsWith("requests") ? "requests" : "tokens"} a minute`,
    })),
    undispatched: true,
  });
}

function mayTryAnother(error: GatewayError, retryableStatusCodes: ReadonlySet<number>): boolean {
  if (error.reason === "cancelled" || error.reason === "ledger_unavailable") return false;
  const status = error.details.upstream?.httpStatus ?? 0;
  // A failure inside a stream or a 200 has no status that could be on the list.
  return status < 400 ? error.retryable : retryableStatusCodes.has(status);
}

const statusNames: Readonly<Record<number, LedgerSettlement["status"]>> = {
  [AttemptStatus.SUCCESS]: "success",
  [AttemptStatus.ERROR]: "error",
  [AttemptStatus.TIMEOUT]: "timeout",
  [AttemptStatus.CANCELLED]: "cancelled",
};

function statusOf({ reason }: GatewayError): AttemptStatus {
  if (reason === "cancelled") return AttemptStatus.CANCELLED;
  return reason === "timeout" ? AttemptStatus.TIMEOUT : AttemptStatus.ERROR;
}
