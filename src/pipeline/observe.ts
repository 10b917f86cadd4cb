/** The outermost stage: sequences, the settled facts of success and failure, one ledger entry at the call's end. */
import { create } from "@bufbuild/protobuf";
import { type Attempt, type Settled, SettledSchema, TimingsSchema, type TranslationNote } from "../../gen/dragoman/v1/usage_pb.ts";
import { type Call, stopReason } from "../core/call.ts";
import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/error.ts";
import { type EventBatch, settledEvent } from "../core/event.ts";
import type { Ledger } from "../core/ledger.ts";
import { addUsages } from "../core/usage.ts";
import type { Stage } from "./stage.ts";

export interface ObserveOptions {
  readonly ledger: Ledger;
  readonly clock: Clock;
}

/** For operations that stream: numbers the events and ends with `settled`. */
export function observeStream<Request extends { model: string }>(options: ObserveOptions): Stage<Request, AsyncIterable<EventBatch>> {
  return (next) =>
    async function* observe(request, call) {
      let sequence = 0;
      let outcome: GatewayError | undefined | "left" = "left";
      try {
        for await (const batch of next(request, call)) {
          for (const event of batch.events) event.sequence = ++sequence;
          yield batch;
        }
        const settled = settledEvent(settleSuccess(call, options.clock));
        settled.sequence = ++sequence;
        outcome = undefined;
        yield { events: [settled] };
      } catch (thrown) {
        outcome = settleFailure(call, thrown, sequence, options.clock);
        throw outcome;
      } finally {
        endCall(call, request.model, outcome === "left" ? stopReason(call.signal) : outcome, options);
      }
    };
}

/** For operations that answer once. */
export function observeReply<Request extends { model: string }, Reply extends object>(
  options: ObserveOptions,
): Stage<Request, Promise<Reply>> {
  return (next) => async (request, call) => {
    let error: GatewayError | undefined;
    try {
      const reply = await next(request, call);
      return call.attempts.length === 0 ? reply : { ...reply, settled: settleSuccess(call, options.clock) };
    } catch (thrown) {
      error = settleFailure(call, thrown, 0, options.clock);
      throw error;
    } finally {
      endCall(call, request.model, error, options);
    }
  };
}

function settleSuccess(call: Call, clock: Clock): Settled {
  return settle(call, call.attempts.slice(-1), call.translation, clock);
}

/** Anything thrown, as a GatewayError with what the call had cost until then. */
function settleFailure(call: Call, thrown: unknown, sequence: number, clock: Clock): GatewayError {
  const error = call.signal.aborted ? stopReason(call.signal) : GatewayError.from(thrown);
  error.settled ??= settle(call, call.attempts, error.details.translation ?? [], clock);
  error.committed = sequence > 0;
  error.lastSequence = sequence;
  return error;
}

/** Nothing where nothing was billed; not known where it is not known of one. */
function costOfAll(attempts: readonly Attempt[]): bigint | undefined {
  let sum = 0n;
  for (const { usage, costNanoUsd } of attempts) {
    if (usage === undefined) continue;
    if (costNanoUsd === undefined) return undefined;
    sum += costNanoUsd;
  }
  return sum;
}

function endCall(call: Call, requestedModel: string, error: GatewayError | undefined, { ledger, clock }: ObserveOptions): void {
  ledger.callEnded({ call, requestedModel, error, durationMs: clock.now() - call.startedAt });
}

function settle(call: Call, charged: readonly Attempt[], translation: readonly TranslationNote[], clock: Clock): Settled {
  const total = clock.now() - call.startedAt;
  const provider = Math.min(
    total,
    call.attempts.reduce((sum, attempt) => sum + attempt.durationMs, 0),
  );
  const last = call.attempts.at(-1);
  const settled = create(SettledSchema, {
    attempts: [...call.attempts],
    translation: [...translation],
    timings: create(TimingsSchema, { total, provider, gatewayOverhead: total - provider }),
  });
  const usages = charged.flatMap(({ usage }) => (usage === undefined ? [] : [usage]));
  if (usages.length > 0) settled.usage = addUsages(usages);
  const cost = costOfAll(charged);
  if (cost !== undefined) settled.costNanoUsd = cost;
  settled.pricingVersion = last?.pricingVersion ?? "";
  if (last?.firstContentMs !== undefined && settled.timings !== undefined) {
    settled.timings.firstContent = last.startedAfterMs + last.firstContentMs;
  }
  return settled;
}
