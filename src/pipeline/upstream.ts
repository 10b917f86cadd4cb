/**
 * The events of one attempt, metered. With the disconnect policy `drain` the provider does not hear of a client that
 * leaves: its stream is read on in the background, and the attempt ends when that does.
 */
import type { GenerateRequest } from "../../gen/dragoman/v1/generate_pb.ts";
import type { Usage } from "../../gen/dragoman/v1/usage_pb.ts";
import { type AttemptCall, stopReason } from "../core/call.ts";
import { GatewayError } from "../core/error.ts";
import type { EventBatch } from "../core/event.ts";
import { OutputMeter } from "../core/usage.ts";
import type { RunningAttempt } from "./attempts.ts";
import type { DrainPool } from "./drain-pool.ts";

export class Upstream {
  readonly #running: RunningAttempt;
  readonly #request: GenerateRequest;
  /** Undefined where a client that leaves takes the stream with it. */
  readonly #drains: DrainPool | undefined;
  readonly #meter = new OutputMeter();
  /** Where streams are drained. */
  readonly #detached: AbortController | undefined;
  #iterator: AsyncIterator<EventBatch> | undefined;
  /** A read that the client did not wait for. */
  #pending: Promise<IteratorResult<EventBatch>> | undefined;
  #interrupt: ((reason: GatewayError) => void) | undefined;

  constructor(running: RunningAttempt, request: GenerateRequest, drains: DrainPool | undefined) {
    this.#running = running;
    this.#request = request;
    this.#drains = running.disconnectPolicy === "drain" ? drains : undefined;
    this.#detached = this.#drains === undefined ? undefined : new AbortController();
  }

  /** To be called once, before the first read. Throws GatewayError where the provider has no such operation. */
  start(): void {
    const { provider, target } = this.#running;
    if (provider.generate === undefined)
      throw new GatewayError("unsupported", `${provider.name} does not generate`, { undispatched: true });
    this.#running.span?.asked(this.#request);
    // A plan is written, not sent.
    if (this.#request.options?.explain !== true) this.#running.markDispatched();
    this.#iterator = provider.generate(this.#request, target, this.#providersCall())[Symbol.asyncIterator]();
  }

  /** The next batch; undefined at the end. Throws what the provider throws, and the stop reason of a client that left. */
  async next(): Promise<EventBatch | undefined> {
    const { done, value } = await (this.#drains === undefined ? this.#read() : this.#readUnlessLeft());
    return done ? undefined : this.#see(value);
  }

  /** The provider has said everything. */
  end(): void {
    this.#running.end(this.#explains ? undefined : this.#meter.settle(this.#request, true));
  }

  /** Before the end: the upstream closes, or is read on without a client. Never throws. */
  async leave(error: GatewayError): Promise<void> {
    if (error.reason === "cancelled" && this.#iterator !== undefined && this.#drains?.take((signal) => this.#readOn(signal, error))) return;
    this.#detached?.abort(error);
    // Left early, the upstream must close before the record does.
    await this.#close();
    this.#running.end(this.#usageUntilNow(error), this.#failure(error));
  }

  get #explains(): boolean {
    return this.#request.options?.explain === true;
  }

  #usageUntilNow(error: GatewayError): Usage | undefined {
    return this.#running.maybeBilled(error) ? this.#meter.settle(this.#request, false) : undefined;
  }

  /** Whoever goes after the last word has had a complete answer. */
  #failure(error: GatewayError): GatewayError | undefined {
    return error.reason === "cancelled" && this.#meter.hasFinished(this.#request) ? undefined : error;
  }

  #see(batch: EventBatch): EventBatch {
    for (const event of batch.events) this.#meter.see(event);
    this.#running.span?.saw(batch.events);
    this.#running.checkpoint(this.#meter);
    return batch;
  }

  #read(): Promise<IteratorResult<EventBatch>> {
    if (this.#iterator === undefined) throw new Error("the upstream is read before it is started");
    return this.#iterator.next();
  }

  #readUnlessLeft(): Promise<IteratorResult<EventBatch>> {
    return new Promise((resolve, reject) => {
      const { signal } = this.#running.call;
      if (signal.aborted) return reject(stopReason(signal));
      this.#interrupt = reject;
      const pending = this.#read();
      this.#pending = pending;
      pending
        .finally(() => {
          // What came after the client had left is kept for whoever reads on.
          if (signal.aborted) return;
          this.#pending = undefined;
          this.#interrupt = undefined;
        })
        .then(resolve, reject);
    });
  }

  /** With `drain`, the call with a signal that the client's leaving does not touch; a deadline and a shutdown do. */
  #providersCall(): AttemptCall {
    const { call } = this.#running;
    const detached = this.#detached;
    if (detached === undefined) return call;
    const { signal } = call;
    const leave = (): void => {
      const reason = stopReason(signal);
      if (reason.reason !== "cancelled") detached.abort(reason);
      else this.#interrupt?.(reason);
    };
    if (signal.aborted) leave();
    else signal.addEventListener("abort", leave, { once: true, signal: detached.signal });
    return { ...call, signal: detached.signal };
  }

  async #readOn(signal: AbortSignal, error: GatewayError): Promise<void> {
    // What the client missed does not make its call a success.
    const failure = this.#failure(error);
    const stop = (): void => this.#detached?.abort(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    const mostTokens = this.#meter.outputTokens + (this.#drains?.bounds.maxTokens ?? 0);
    let complete = false;
    try {
      while (this.#meter.outputTokens <= mostTokens) {
        const { done, value } = await (this.#pending ?? this.#read());
        this.#pending = undefined;
        if (done) {
          complete = true;
          break;
        }
        this.#see(value);
      }
    } catch {
      // Nobody is there to be told; what came until here is billed.
    } finally {
      signal.removeEventListener("abort", stop);
      this.#detached?.abort(error);
      await this.#close();
      this.#running.end(complete ? this.#meter.settle(this.#request, true) : this.#usageUntilNow(error), failure);
    }
  }

  async #close(): Promise<void> {
    try {
      await this.#iterator?.return?.();
    } catch {
      // It was to end, and it has.
    }
  }
}
