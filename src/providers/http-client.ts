/**
 * HTTP to one origin, by undici's dispatch: a pool of sockets, one request on each at a time, bytes handed on as they
 * come. Reading slowly pauses the socket; leaving early, or the signal, closes it at once. Redirects are not followed.
 */
import { type Dispatcher, Pool } from "undici";
import type { BodyHash } from "../core/body-hash.ts";
import { stopReason } from "../core/call.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { GatewayError } from "../core/error.ts";
import { createConnector, type Resolve } from "./egress.ts";
import { type HttpTimeouts, httpLimits, httpTimeouts } from "./http-limits.ts";
import { transportError, transportFailure } from "./transport-failure.ts";
import type { UpstreamTls } from "./upstream-tls.ts";

export interface HttpClientOptions extends UpstreamTls {
  /** Scheme, host and port; path and query are not looked at. */
  readonly origin: URL;
  /** Whether loopback and private addresses may be connected to. */
  readonly allowPrivate: boolean;
  readonly timeouts?: Partial<HttpTimeouts> | undefined;
  /** Most sockets at once; further requests wait for one. */
  readonly poolSize?: number | undefined;
  readonly resolve?: Resolve | undefined;
  readonly clock?: Clock | undefined;
}

export interface HttpRequest {
  readonly method: "GET" | "POST";
  /** Path and query. */
  readonly path: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
  readonly signal: AbortSignal;
  /** Hashes the answer's body as it comes over the wire. */
  readonly hash?: BodyHash | undefined;
  /** Whether the answer comes at once when it is complete: then the first byte may take as long as the whole. */
  readonly whole: boolean;
  /** Less time than the client's total, in milliseconds. */
  readonly totalMs?: number | undefined;
}

/** The bytes of an answer, in order. Throws GatewayError: timeout, provider_error, or the signal's reason. */
export interface ByteSource extends AsyncIterableIterator<Uint8Array> {
  next(): Promise<IteratorResult<Uint8Array, undefined>>;
  /** Stops reading and closes the socket, unless the answer has ended. */
  return(): Promise<IteratorResult<Uint8Array, undefined>>;
  /** Nothing more is wanted: lets a little rest pass by, so that the socket can be used again. */
  drain(): void;
}

export interface HttpReply {
  readonly status: number;
  /** A header by lower-case name; the first where it was repeated. */
  header(name: string): string | undefined;
  readonly body: ByteSource;
}

export class HttpClient {
  /** For messages: `https://api.example.com`. */
  readonly origin: string;
  readonly #pool: Pool;
  readonly #timeouts: HttpTimeouts;
  readonly #clock: Clock;

  constructor(options: HttpClientOptions) {
    this.origin = options.origin.origin;
    this.#timeouts = { ...httpTimeouts, ...options.timeouts };
    this.#clock = options.clock ?? systemClock;
    this.#pool = new Pool(this.origin, {
      connections: options.poolSize ?? httpLimits.poolSize,
      pipelining: 1,
      allowH2: false,
      headersTimeout: 0,
      bodyTimeout: 0,
      maxHeaderSize: httpLimits.maxHeaderBytes,
      connect: createConnector({
        origin: options.origin,
        allowPrivate: options.allowPrivate,
        connectTimeoutMs: this.#timeouts.connectMs,
        tlsTimeoutMs: this.#timeouts.tlsMs,
        certificateAuthority: options.certificateAuthority,
        clientCertificate: options.clientCertificate,
        resolve: options.resolve,
        clock: options.clock,
      }),
    });
  }

  /** Resolves with the answer's status and headers. Rejects with GatewayError: timeout, provider_error, or the signal's reason. */
  send(request: HttpRequest): Promise<HttpReply> {
    if (request.signal.aborted) return Promise.reject(stopReason(request.signal));
    const exchange = new Exchange(this.origin, request, this.#timeouts, this.#clock);
    try {
      this.#pool.dispatch({ path: request.path, method: request.method, headers: request.headers, body: request.body ?? null }, exchange);
    } catch (thrown) {
      return Promise.reject(thrown);
    }
    return exchange.reply;
  }

  /** Closes every socket. */
  close(): Promise<void> {
    return this.#pool.destroy();
  }
}

type Chunk = IteratorResult<Uint8Array, undefined>;
const end: Chunk = { done: true, value: undefined };

/** One request and its answer: what undici calls, and what the reader of the body pulls. */
class Exchange implements Dispatcher.DispatchHandler, ByteSource {
  readonly reply: Promise<HttpReply>;
  readonly #origin: string;
  readonly #signal: AbortSignal;
  readonly #hash: BodyHash | undefined;
  readonly #timeouts: HttpTimeouts;
  readonly #clock: Clock;
  readonly #startedAt: number;
  readonly #totalMs: number;
  readonly #firstByteMs: number;
  readonly #settleReply = Promise.withResolvers<HttpReply>();
  #controller: Dispatcher.DispatchController | undefined;
  readonly #queue: Uint8Array[] = [];
  #queued = 0;
  #waiting: PromiseWithResolvers<Chunk> | undefined;
  #failure: GatewayError | undefined;
  #ended = false;
  /** When the upstream was last known to move; undefined before its first byte. */
  #movedAt: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #informational = 0;
  /** Bytes thrown away since nobody wants more. */
  #trailing: number | undefined;

  constructor(origin: string, request: HttpRequest, timeouts: HttpTimeouts, clock: Clock) {
    this.#origin = origin;
    this.#signal = request.signal;
    this.#hash = request.hash;
    this.#hash?.reset();
    this.#timeouts = timeouts;
    this.#clock = clock;
    this.#startedAt = clock.now();
    this.#totalMs = Math.min(timeouts.totalMs, request.totalMs ?? timeouts.totalMs);
    this.#firstByteMs = request.whole ? this.#totalMs : timeouts.firstByteMs;
    this.reply = this.#settleReply.promise;
    this.#signal.addEventListener("abort", this.#stop, { once: true });
    this.#watch();
  }

  // ---- what undici calls

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    // Given up while it waited for a socket: nothing is sent.
    if (this.#failure !== undefined) controller.abort(this.#failure);
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    if (status < 200) {
      if (++this.#informational > httpLimits.maxInformationalReplies)
        this.#fail(transportFailure("protocol", this.#origin, "too many 1xx replies"));
      return;
    }
    const header = (name: string) => {
      const value = headers[name];
      return Array.isArray(value) ? value[0] : value;
    };
    this.#settleReply.resolve({ status, header, body: this });
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Uint8Array): void {
    this.#hash?.update(chunk);
    if (this.#trailing !== undefined) {
      this.#trailing += chunk.length;
      if (this.#trailing > httpLimits.maxTrailingBytes) this.#giveUp();
      return;
    }
    const first = this.#movedAt === undefined;
    this.#movedAt = this.#clock.now();
    if (first) this.#watch();
    if (this.#waiting !== undefined) {
      const { resolve } = this.#waiting;
      this.#waiting = undefined;
      resolve({ done: false, value: chunk });
      return;
    }
    this.#queue.push(chunk);
    this.#queued += chunk.length;
    if (this.#queued > httpLimits.highWaterBytes) controller.pause();
  }

  onResponseEnd(): void {
    this.#ended = true;
    this.#release();
    this.#waiting?.resolve(end);
    this.#waiting = undefined;
  }

  onResponseError(_controller: Dispatcher.DispatchController | undefined, error: Error): void {
    this.#settleFailure(transportError(error, this.#origin));
  }

  // ---- what the reader calls

  next(): Promise<Chunk> {
    const chunk = this.#queue.shift();
    if (chunk !== undefined) {
      this.#queued -= chunk.length;
      if (this.#queued < httpLimits.lowWaterBytes && this.#controller?.paused === true) {
        this.#movedAt = this.#clock.now();
        this.#controller.resume();
      }
      return Promise.resolve({ done: false, value: chunk });
    }
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#ended) return Promise.resolve(end);
    this.#waiting = Promise.withResolvers<Chunk>();
    return this.#waiting.promise;
  }

  return(): Promise<Chunk> {
    this.#giveUp();
    return Promise.resolve(end);
  }

  drain(): void {
    if (this.#ended || this.#failure !== undefined || this.#trailing !== undefined) return;
    this.#release();
    this.#trailing = this.#queued;
    this.#queue.length = 0;
    this.#queued = 0;
    this.#timer = setTimeout(() => this.#giveUp(), httpLimits.trailingMs).unref();
    this.#controller?.resume();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  // ----

  readonly #stop = (): void => {
    // Nobody reads what is left.
    this.#queue.length = 0;
    this.#queued = 0;
    this.#fail(stopReason(this.#signal));
  };

  #giveUp(): void {
    if (this.#ended || this.#failure !== undefined) return;
    this.#queue.length = 0;
    this.#queued = 0;
    this.#fail(new GatewayError("cancelled", "the answer was not wanted any more"));
  }

  #fail(failure: GatewayError): void {
    this.#settleFailure(failure);
    this.#controller?.abort(failure);
  }

  #settleFailure(failure: GatewayError): void {
    if (this.#ended || this.#failure !== undefined) return;
    this.#failure = failure;
    this.#release();
    this.#settleReply.reject(failure);
    this.#waiting?.reject(failure);
    this.#waiting = undefined;
  }

  #release(): void {
    clearTimeout(this.#timer);
    this.#signal.removeEventListener("abort", this.#stop);
  }

  /** One timer for all spans: it looks again when the earliest could have run out, not at every chunk. */
  #watch(): void {
    clearTimeout(this.#timer);
    const now = this.#clock.now();
    // While the reader is the slow one, silence is not the upstream's.
    if (this.#movedAt !== undefined && (this.#queued > 0 || this.#controller?.paused === true)) this.#movedAt = now;
    const total = this.#startedAt + this.#totalMs;
    const silence = this.#movedAt === undefined ? this.#startedAt + this.#firstByteMs : this.#movedAt + this.#timeouts.idleMs;
    const next = Math.min(total, silence);
    if (now >= next) {
      this.#fail(this.#timeout(now >= total));
      return;
    }
    this.#timer = setTimeout(() => this.#watch(), Math.ceil(next - now)).unref();
  }

  #timeout(whole: boolean): GatewayError {
    const { idleMs } = this.#timeouts;
    if (whole) return new GatewayError("timeout", `${this.#origin} did not finish its answer within ${this.#totalMs} ms`);
    if (this.#movedAt !== undefined)
      return new GatewayError("timeout", `${this.#origin} was silent for ${idleMs} ms in the middle of its answer`);
    const undispatched = this.#controller === undefined;
    const what = undispatched ? "had no free connection" : "did not begin its answer";
    return new GatewayError("timeout", `${this.#origin} ${what} within ${this.#firstByteMs} ms`, { undispatched });
  }
}
