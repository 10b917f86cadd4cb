/** The stream of one call, pulled: messages in batches as they arrive, and an end to what is too slow. */
import type { ClientReadableStream, Metadata, ServiceError } from "@grpc/grpc-js";
import { stopReason } from "../core/call.ts";
import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/error.ts";
import type { GrpcFailure } from "./grpc-failure.ts";
import { grpcLimits } from "./grpc-limits.ts";
import { headerOf, type ReplyHeader } from "./grpc-reply-header.ts";
import type { HttpTimeouts } from "./http-limits.ts";
import { tooLong } from "./read-service-error.ts";

/** The messages of a stream, in order, all that one read gave together. Throws GrpcFailure or GatewayError. */
export interface MessageSource<Message> {
  next(): Promise<IteratorResult<readonly Message[], undefined>>;
  /** Cancels the call unless it has ended. */
  return(): void;
  readonly header: ReplyHeader;
}

export interface GrpcStreamOptions<Message> {
  readonly running: ClientReadableStream<Message>;
  /** Bytes that were received and not yet given to the reader. */
  readonly received: { bytes: number };
  readonly totalMs: number;
  readonly signal: AbortSignal;
  readonly origin: string;
  readonly timeouts: HttpTimeouts;
  readonly clock: Clock;
  failureOf(error: ServiceError, headers: Metadata | undefined, begun: boolean): GrpcFailure | GatewayError;
}

type Batch<Message> = IteratorResult<readonly Message[], undefined>;

/** One stream: what the library calls, and what the reader pulls. */
export class GrpcStreamReader<Message> implements MessageSource<Message> {
  readonly header: ReplyHeader;
  readonly #options: GrpcStreamOptions<Message>;
  readonly #startedAt: number;
  #headers: Metadata | undefined;
  #queue: Message[] = [];
  #waiting: PromiseWithResolvers<Batch<Message>> | undefined;
  #flush: NodeJS.Immediate | undefined;
  #failure: GrpcFailure | GatewayError | undefined;
  #ended = false;
  /** When the upstream was last known to move; undefined before its first message. */
  #movedAt: number | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: GrpcStreamOptions<Message>) {
    this.#options = options;
    this.#startedAt = options.clock.now();
    this.header = headerOf(() => this.#headers);
    const { running, signal } = options;
    running.on("metadata", (metadata) => {
      this.#headers = metadata;
    });
    running.on("data", (message: Message) => this.#take(message));
    running.on("end", () => this.#settle(undefined));
    running.on("error", (error: ServiceError) => this.#break(error));
    signal.addEventListener("abort", this.#stop, { once: true });
    if (signal.aborted) this.#stop();
    else this.#watch();
  }

  next(): Promise<Batch<Message>> {
    if (this.#queue.length > 0) return Promise.resolve({ done: false, value: this.#takeQueue() });
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    this.#waiting = Promise.withResolvers<Batch<Message>>();
    return this.#waiting.promise;
  }

  return(): void {
    if (this.#ended || this.#failure !== undefined) return;
    this.#queue = [];
    this.#fail(new GatewayError("cancelled", "the answer was not wanted any more"));
  }

  #take(message: Message): void {
    if (this.#failure !== undefined) return;
    const isFirst = this.#movedAt === undefined;
    this.#movedAt = this.#options.clock.now();
    if (isFirst) this.#watch();
    this.#queue.push(message);
    const { received, running } = this.#options;
    if (received.bytes > grpcLimits.highWaterBytes) running.pause();
    // What else came with the same read joins the batch: it is handed over when that read has been worked off.
    if (this.#waiting !== undefined) this.#flush ??= setImmediate(() => this.#hand());
  }

  #hand(): void {
    this.#flush = undefined;
    if (this.#waiting === undefined || this.#queue.length === 0) return;
    this.#waiting.resolve({ done: false, value: this.#takeQueue() });
    this.#waiting = undefined;
  }

  #takeQueue(): Message[] {
    const messages = this.#queue;
    this.#queue = [];
    const { received, running } = this.#options;
    received.bytes = 0;
    if (running.isPaused()) {
      this.#movedAt = this.#options.clock.now();
      running.resume();
    }
    return messages;
  }

  /** The library reports a failure before what it still holds was read. */
  #break(error: ServiceError): void {
    const { running, failureOf } = this.#options;
    // Each read hands its message to the `data` listener.
    while (this.#failure === undefined && running.read() !== null);
    this.#settle(failureOf(error, this.#headers, this.#movedAt !== undefined));
  }

  readonly #stop = (): void => {
    // Nobody reads what is left.
    this.#queue = [];
    this.#fail(stopReason(this.#options.signal));
  };

  #fail(failure: GatewayError): void {
    this.#settle(failure);
    this.#options.running.cancel();
    // Whatever still comes must not fill up: the end of the call waits behind it.
    this.#options.running.resume();
  }

  #settle(failure: GrpcFailure | GatewayError | undefined): void {
    if (this.#ended || this.#failure !== undefined) return;
    if (failure === undefined) this.#ended = true;
    else this.#failure = failure;
    clearTimeout(this.#timer);
    this.#options.signal.removeEventListener("abort", this.#stop);
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    if (this.#queue.length > 0) {
      this.#hand();
      return;
    }
    this.#waiting = undefined;
    if (failure === undefined) waiting.resolve({ done: true, value: undefined });
    else waiting.reject(failure);
  }

  /** One timer for all spans, as for HTTP. */
  #watch(): void {
    clearTimeout(this.#timer);
    const { running, timeouts, totalMs, clock, origin } = this.#options;
    const now = clock.now();
    // While the reader is the slow one, silence is not the upstream's.
    if (this.#movedAt !== undefined && (this.#queue.length > 0 || running.isPaused())) this.#movedAt = now;
    const total = this.#startedAt + totalMs;
    const silence = this.#movedAt === undefined ? this.#startedAt + timeouts.firstByteMs : this.#movedAt + timeouts.idleMs;
    const next = Math.min(total, silence);
    if (now < next) {
      this.#timer = setTimeout(() => this.#watch(), Math.ceil(next - now)).unref();
      return;
    }
    const silent =
      this.#movedAt === undefined
        ? `did not begin its answer within ${timeouts.firstByteMs} ms`
        : `was silent for ${timeouts.idleMs} ms in the middle of its answer`;
    this.#fail(now >= total ? tooLong(origin, totalMs) : new GatewayError("timeout", `${origin} ${silent}`));
  }
}
