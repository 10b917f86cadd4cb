/** The innermost step of Generate: picks a target, streams its events, meters them. */
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { GenerateRequest, Started } from "../../gen/dragoman/v1/generate_pb.ts";
import { stopReason, throwIfStopped } from "../core/call.ts";
import { GatewayError } from "../core/error.ts";
import { commits, type EventBatch, type GenerateEvent, startedEvent } from "../core/event.ts";
import { ulid } from "../core/id.ts";
import { OutputMeter } from "../core/usage.ts";
import { type AttemptOptions, type RunningAttempt, tryTargets } from "./attempts.ts";
import type { Step } from "./stage.ts";

export interface GenerateAttemptOptions extends AttemptOptions {
  /** Name of this node, for headers; may be empty. */
  readonly node: string;
}

/** A stream that has reached its commit point: `held` is what came until then. */
interface OpenStream {
  readonly running: RunningAttempt;
  readonly meter: OutputMeter;
  readonly iterator: AsyncIterator<EventBatch>;
  readonly held: EventBatch;
}

export function attemptGenerate(options: GenerateAttemptOptions): Step<GenerateRequest, AsyncIterable<EventBatch>> {
  return async function* attempt(request, call) {
    const { running, meter, iterator, held } = await tryTargets(call, call.maxAttempts, options, (running) =>
      open(request, running, options),
    );
    let failure: GatewayError | undefined;
    let complete = false;
    try {
      yield held;
      for (;;) {
        const { done, value: batch } = await iterator.next();
        if (done) break;
        for (const event of batch.events) meter.see(event);
        yield batch;
      }
      complete = true;
    } catch (thrown) {
      failure = call.signal.aborted ? stopReason(call.signal) : GatewayError.from(thrown);
      throw failure;
    } finally {
      // Left early, the upstream must close before the record does.
      if (!complete) await iterator.return?.();
      const usage = explains(request) ? undefined : meter.settle(request, complete);
      running.end(usage, complete ? undefined : (failure ?? stopReason(call.signal)));
    }
  };
}

/** Reads until the first content. What fails before is this attempt's failure alone. */
async function open(request: GenerateRequest, running: RunningAttempt, options: GenerateAttemptOptions): Promise<OpenStream> {
  const { provider, target, call } = running;
  const meter = new OutputMeter();
  let iterator: AsyncIterator<EventBatch> | undefined;
  try {
    throwIfStopped(call);
    if (provider.generate === undefined)
      throw new GatewayError("unsupported", `${provider.name} does not generate`, { undispatched: true });
    iterator = provider.generate(request, target, call)[Symbol.asyncIterator]();
    const held: GenerateEvent[] = [];
    const raws: Uint8Array[] = [];
    for (;;) {
      const { done, value: batch } = await iterator.next();
      if (done) break;
      let committed = false;
      for (const event of batch.events) {
        meter.see(event);
        if (event.event.case === "started") fillStarted(event.event.value, request, running, options);
        committed ||= commits(event);
        held.push(event);
      }
      if (batch.raw !== undefined) raws.push(batch.raw);
      if (!committed && !explains(request)) continue;
      if (held[0]?.event.case !== "started") held.unshift(missingStarted(request, running, options));
      running.markFirstContent();
      return { running, meter, iterator, held: raws.length === 0 ? { events: held } : { events: held, raw: Buffer.concat(raws) } };
    }
    throw new GatewayError("provider_error", `${target.provider} ended its answer before it began`);
  } catch (thrown) {
    const error = call.signal.aborted ? stopReason(call.signal) : GatewayError.from(thrown);
    await iterator?.return?.();
    running.end(running.maybeBilled(error) ? meter.settle(request, false) : undefined, error);
    throw error;
  }
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
