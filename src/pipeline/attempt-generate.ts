/** The innermost step of Generate: picks a target, streams its events, meters them. */
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { GenerateRequest, Started } from "../../gen/dragoman/v1/generate_pb.ts";
import { stopReason, throwIfStopped } from "../core/call.ts";
import { GatewayError } from "../core/error.ts";
import { commits, type EventBatch, type GenerateEvent, startedEvent } from "../core/event.ts";
import { ulid } from "../core/id.ts";
import { ratesOfRequest } from "../core/request-rates.ts";
import { estimateInput } from "../core/usage.ts";
import { type AttemptFacts, type AttemptOptions, type RunningAttempt, tryTargets } from "./attempts.ts";
import type { DrainPool } from "./drain-pool.ts";
import type { Step } from "./stage.ts";
import { Upstream } from "./upstream.ts";

export interface GenerateAttemptOptions extends AttemptOptions {
  /** Name of this node, for headers; may be empty. */
  readonly node: string;
  /** Where streams go on whose client has left; absent: none is drained. */
  readonly drains?: DrainPool | undefined;
}

/** A stream that has reached its commit point: `held` is what came until then. */
interface OpenStream {
  readonly upstream: Upstream;
  readonly held: EventBatch;
}

export function attemptGenerate(options: GenerateAttemptOptions): Step<GenerateRequest, AsyncIterable<EventBatch>> {
  return async function* attempt(request, call) {
    const facts = factsOf(request);
    const { upstream, held } = await tryTargets(call, facts, options, (running) => open(request, facts, running, options));
    let failure: GatewayError | undefined;
    let complete = false;
    try {
      yield held;
      for (;;) {
        const batch = await upstream.next();
        if (batch === undefined) break;
        yield batch;
      }
      complete = true;
    } catch (thrown) {
      failure = call.signal.aborted ? stopReason(call.signal) : GatewayError.from(thrown);
      throw failure;
    } finally {
      if (complete) upstream.end();
      else await upstream.leave(failure ?? stopReason(call.signal));
    }
  };
}

/** The same where nobody waits for a part: all that comes is one batch. */
export function attemptWhole(options: GenerateAttemptOptions): Step<GenerateRequest, Promise<EventBatch>> {
  return async (request, call) => {
    const facts = factsOf(request);
    const { upstream, held } = await tryTargets(call, facts, options, (running) => open(request, facts, running, options));
    const batches = [held];
    try {
      for (;;) {
        const batch = await upstream.next();
        if (batch === undefined) break;
        batches.push(batch);
      }
    } catch (thrown) {
      const failure = call.signal.aborted ? stopReason(call.signal) : GatewayError.from(thrown);
      await upstream.leave(failure);
      throw failure;
    }
    upstream.end();
    return join(batches);
  };
}

/** Once, at the end: an answer may come in very many pieces. */
function join(batches: readonly EventBatch[]): EventBatch {
  const events = batches.flatMap((batch) => batch.events);
  const raws = batches.flatMap(({ raw }) => (raw === undefined ? [] : [raw]));
  return raws.length < batches.length ? { events } : { events, raw: Buffer.concat(raws) };
}

/** Reads until the first content. What fails before is this attempt's failure alone. */
async function open(
  request: GenerateRequest,
  facts: AttemptFacts,
  running: RunningAttempt,
  options: GenerateAttemptOptions,
): Promise<OpenStream> {
  const { target, call } = running;
  const upstream = new Upstream(running, request, options.drains);
  try {
    const reserving = running.begin(facts);
    if (reserving !== undefined) await reserving;
    throwIfStopped(call);
    upstream.start();
    const held: GenerateEvent[] = [];
    const raws: Uint8Array[] = [];
    for (;;) {
      const batch = await upstream.next();
      if (batch === undefined) break;
      let committed = false;
      for (const event of batch.events) {
        if (event.event.case === "started") fillStarted(event.event.value, request, running, options);
        committed ||= commits(event);
        held.push(event);
      }
      if (batch.raw !== undefined) raws.push(batch.raw);
      if (!committed && !explains(request)) continue;
      if (held[0]?.event.case !== "started") held.unshift(missingStarted(request, running, options));
      running.markFirstContent();
      const [raw] = raws;
      if (raw === undefined) return { upstream, held: { events: held } };
      return { upstream, held: { events: held, raw: raws.length === 1 ? raw : Buffer.concat(raws) } };
    }
    throw new GatewayError("provider_error", `${target.provider} ended its answer before it began`, { empty: true });
  } catch (thrown) {
    const error = call.signal.aborted ? stopReason(call.signal) : GatewayError.from(thrown);
    if (error.details.empty) options.metrics?.emptyStream();
    await upstream.leave(error);
    throw error;
  }
}

function factsOf(request: GenerateRequest): AttemptFacts {
  const { maxOutputTokens, candidateCount = 1 } = request.sampling ?? {};
  let estimate: number | undefined;
  return {
    requestedModel: request.model,
    estimateInput() {
      estimate ??= estimateInput(request);
      return estimate;
    },
    maxOutputTokens: maxOutputTokens === undefined ? undefined : maxOutputTokens * Math.max(1, candidateCount),
    billedBy: () => ({ rates: ratesOfRequest(request), serviceTier: request.serviceTier }),
  };
}

/** A plan: the provider writes the request and sends nothing, so `started` is all that comes. */
function explains(request: GenerateRequest): boolean {
  return request.options?.explain === true;
}

function missingStarted(request: GenerateRequest, running: RunningAttempt, options: GenerateAttemptOptions): GenerateEvent {
  const event = startedEvent({});
  if (event.event.case === "started") fillStarted(event.event.value, request, running, options);
  return event;
}

/** The facts of the answer's beginning that the gateway knows and the provider does not. */
function fillStarted(started: Started, request: GenerateRequest, { call, target }: RunningAttempt, options: GenerateAttemptOptions): void {
  started.generationId = ulid();
  started.requestId = call.requestId;
  started.requestedModel = request.model;
  if (started.servedModel === "") started.servedModel = target.model;
  started.provider = target.provider;
  started.target = target.id;
  started.attempt = call.attempt.number;
  started.usedFallback = target !== call.targets[0];
  started.route = call.route;
  started.node = options.node === "" ? target.id : options.node;
  started.translation = [...call.translation];
  started.externalRequestId = call.attribution?.externalRequestId ?? "";
  started.createdAt ??= timestampFromMs(options.clock.wall());
}
