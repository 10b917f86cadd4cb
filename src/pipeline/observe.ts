/** The outermost stage: sequences, the settled facts of success and failure, the call's end for ledger and log. */
import type { EmbedResponse } from "../../gen/dragoman/v1/embed_pb.ts";
import type { GenerateRequest } from "../../gen/dragoman/v1/generate_pb.ts";
import type { CountTokensResponse } from "../../gen/dragoman/v1/inference_service_pb.ts";
import type { Attempt, Settled, TranslationNote } from "../../gen/dragoman/v1/usage_pb.ts";
import { type Call, type CallTimings, stopReason } from "../core/call.ts";
import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/error.ts";
import { type EventBatch, settledEvent } from "../core/event.ts";
import type { Ledger } from "../core/ledger.ts";
import { newSettled } from "../core/new-message.ts";
import type { CallRecorder, LoggableRequest, RequestLog } from "../core/request-log.ts";
import { addUsages } from "../core/usage.ts";
import { type AttemptEndings, isOpen } from "./attempt-endings.ts";
import type { ChargePolicy } from "./attempts.ts";
import type { Stage } from "./stage.ts";

export interface ObserveOptions {
  readonly ledger: Ledger;
  readonly clock: Clock;
  /** Whether failed attempts are the tenant's to pay; by default success_only: they are not. */
  readonly chargePolicy?: ChargePolicy | undefined;
  /** Absent: calls leave no record. */
  readonly requestLog?: RequestLog | undefined;
  /** Says when a stream is over that is read on for its counts. */
  readonly endings: AttemptEndings;
}

/** For operations that stream: numbers the events and ends with `settled`. */
export function observeStream(options: ObserveOptions): Stage<GenerateRequest, AsyncIterable<EventBatch>> {
  return (next) =>
    async function* observe(request, call) {
      const recorder = options.requestLog?.begin(call, request);
      let sequence = 0;
      let outcome: GatewayError | Settled | undefined;
      try {
        for await (const batch of next(request, call)) {
          for (const event of batch.events) event.sequence = ++sequence;
          recorder?.see(batch.events);
          yield batch;
        }
        outcome = settleSuccess(call, options);
        const settled = settledEvent(outcome);
        settled.sequence = ++sequence;
        yield { events: [settled] };
      } catch (thrown) {
        outcome = settleFailure(call, thrown, sequence, options.clock);
        throw outcome;
      } finally {
        // Nothing came of it: the client left in the middle.
        outcome ??= settleFailure(call, stopReason(call.signal), sequence, options.clock);
        endCall(call, request.model, outcome, recorder, options);
      }
    };
}

/** For generations that are answered in one piece: all their events are one batch. */
export function observeWhole(options: ObserveOptions): Stage<GenerateRequest, Promise<EventBatch>> {
  return (next) => async (request, call) => {
    const recorder = options.requestLog?.begin(call, request);
    let outcome: GatewayError | Settled | undefined;
    try {
      const { events: seen, ...rest } = await next(request, call);
      recorder?.see(seen);
      outcome = settleSuccess(call, options);
      const events = [...seen, settledEvent(outcome)];
      let sequence = 0;
      for (const event of events) event.sequence = ++sequence;
      return { ...rest, events };
    } catch (thrown) {
      outcome = settleFailure(call, thrown, 0, options.clock);
      throw outcome;
    } finally {
      endCall(call, request.model, outcome, recorder, options);
    }
  };
}

/** For operations that answer once. */
export function observeReply<Request extends LoggableRequest, Reply extends EmbedResponse | CountTokensResponse>(
  options: ObserveOptions,
): Stage<Request, Promise<Reply>> {
  return (next) => async (request, call) => {
    const recorder = options.requestLog?.begin(call, request);
    let outcome: GatewayError | Settled | undefined;
    try {
      const reply = await next(request, call);
      recorder?.answered(reply);
      outcome = settleSuccess(call, options);
      // What nobody was asked for says itself what it was: a replay, a count of our own.
      return call.attempts.length === 0 ? reply : { ...reply, settled: outcome };
    } catch (thrown) {
      outcome = settleFailure(call, thrown, 0, options.clock);
      throw outcome;
    } finally {
      endCall(call, request.model, outcome, recorder, options);
    }
  };
}

function settleSuccess(call: Call, { clock, chargePolicy }: ObserveOptions): Settled {
  const charged = chargePolicy === "all_attempts" ? call.attempts : call.attempts.slice(-1);
  return settle(call, charged, call.translation, clock.now() - call.startedAt);
}

/** Anything thrown, as a GatewayError with what the call had cost until then. */
function settleFailure(call: Call, thrown: unknown, sequence: number, clock: Clock): GatewayError {
  const error = call.signal.aborted ? stopReason(call.signal) : GatewayError.from(thrown);
  error.settled ??= settle(call, call.attempts, error.details.translation ?? [], clock.now() - call.startedAt);
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

/** `outcome`: why it failed, or what it cost; undefined where it cost nothing. */
function endCall(
  call: Call,
  requestedModel: string,
  outcome: GatewayError | Settled | undefined,
  recorder: CallRecorder | undefined,
  { ledger, clock, endings }: ObserveOptions,
): void {
  const error = outcome instanceof GatewayError ? outcome : undefined;
  const settled = outcome instanceof GatewayError ? outcome.settled : outcome;
  const durationMs = clock.now() - call.startedAt;
  const { timings = {} } = call;
  const timed = (step: keyof CallTimings, work: () => void): void => {
    const startedAt = clock.now();
    work();
    timings[step] = clock.now() - startedAt;
  };
  timed("sideEffects", () => call.span?.end(requestedModel, call.attempts, error));
  timed("usageEmit", () => ledger.callEnded({ call, requestedModel, error, durationMs }));
  if (recorder === undefined) return;
  if (!call.attempts.some(isOpen)) timed("requestLog", () => recorder.end(settled, error, durationMs));
  else
    endings.whenOver(call, () => {
      const all = settle(call, call.attempts, error?.details.translation ?? [], durationMs);
      timed("requestLog", () => recorder.end(all, error, durationMs));
    });
}

function settle(call: Call, charged: readonly Attempt[], translation: readonly TranslationNote[], total: number): Settled {
  const provider = Math.min(
    total,
    call.attempts.reduce((sum, attempt) => sum + attempt.durationMs, 0),
  );
  const last = call.attempts.at(-1);
  const settled = newSettled();
  settled.attempts = [...call.attempts];
  settled.translation = [...translation];
  settled.timings = { $typeName: "dragoman.v1.Timings", total, provider, gatewayOverhead: total - provider, ...call.timings };
  const usages = charged.flatMap(({ usage }) => (usage === undefined ? [] : [usage]));
  if (usages.length > 0) settled.usage = addUsages(usages);
  const cost = costOfAll(charged);
  if (cost !== undefined) settled.costNanoUsd = cost;
  settled.pricingVersion = last?.pricingVersion ?? "";
  if (last?.firstContentMs !== undefined) {
    settled.timings.firstContent = last.startedAfterMs + last.firstContentMs;
  }
  return settled;
}
