/**
 * gRPC to one upstream: a channel that is kept and shared, calls with deadlines, and messages handed on as they come.
 * `https:` addresses are reached by TLS, `http:` ones in plain text. Leaving early, or the signal, cancels the call at once.
 */
import { createSecureContext } from "node:tls";
import {
  create,
  type DescMessage,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import {
  type CallOptions,
  Client,
  type ClientReadableStream,
  connectivityState,
  credentials,
  Metadata,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { stopReason } from "../core/call.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { GatewayError } from "../core/error.ts";
import type { Resolve } from "./egress.ts";
import { GrpcFailure } from "./grpc-failure.ts";
import { grpcLimits } from "./grpc-limits.ts";
import { noAddress, resolvedTarget, UpstreamNames } from "./grpc-resolver.ts";
import { type HttpTimeouts, httpTimeouts } from "./http-limits.ts";
import { TransportFailure, type TransportFailureKind, transportError, transportFailure } from "./transport-failure.ts";

export interface GrpcClientOptions {
  /** Scheme, host and port. */
  readonly origin: URL;
  /** Whether loopback and private addresses may be connected to. */
  readonly allowPrivate: boolean;
  /** `dragoman/1.2.3`. */
  readonly userAgent: string;
  readonly timeouts?: Partial<HttpTimeouts> | undefined;
  /** PEM certificates to trust instead of the system's. */
  readonly certificateAuthority?: string | undefined;
  readonly resolve?: Resolve | undefined;
  readonly clock?: Clock | undefined;
}

export interface GrpcCall {
  /** Lower-case names. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  /** Milliseconds that are left for the call; the upstream is told. */
  readonly totalMs: number;
}

/** A value of the answer's initial metadata by lower-case name. */
export type ReplyHeader = (name: string) => string | undefined;

export interface GrpcReply<Message> {
  readonly message: Message;
  readonly header: ReplyHeader;
}

/** The messages of a stream, in order, all that one read gave together. Throws GrpcFailure or GatewayError. */
export interface MessageSource<Message> {
  next(): Promise<IteratorResult<readonly Message[], undefined>>;
  /** Cancels the call unless it has ended. */
  return(): void;
  readonly header: ReplyHeader;
}

export class GrpcClient {
  /** For messages: `https://api.example.com`. */
  readonly origin: string;
  readonly #client: Client;
  readonly #names: UpstreamNames;
  readonly #timeouts: HttpTimeouts;
  readonly #clock: Clock;
  readonly #connectMs: number;

  constructor(options: GrpcClientOptions) {
    const { origin, certificateAuthority } = options;
    this.origin = origin.origin;
    this.#timeouts = { ...httpTimeouts, ...options.timeouts };
    this.#clock = options.clock ?? systemClock;
    this.#names = new UpstreamNames(origin, options);
    const isSecure = origin.protocol === "https:";
    this.#connectMs = this.#timeouts.connectMs + (isSecure ? this.#timeouts.tlsMs : 0);
    const { target, options: resolution } = resolvedTarget(this.#names);
    const secure = () =>
      credentials.createFromSecureContext(
        createSecureContext({ minVersion: "TLSv1.2", ...(certificateAuthority === undefined ? {} : { ca: certificateAuthority }) }),
      );
    this.#client = new Client(target, isSecure ? secure() : credentials.createInsecure(), {
      ...resolution,
      "grpc.primary_user_agent": options.userAgent,
      "grpc.max_receive_message_length": grpcLimits.maxMessageBytes,
      "grpc.keepalive_time_ms": grpcLimits.keepaliveMs,
      "grpc.keepalive_timeout_ms": grpcLimits.keepaliveTimeoutMs,
      "grpc.initial_reconnect_backoff_ms": grpcLimits.firstReconnectMs,
      "grpc.max_reconnect_backoff_ms": grpcLimits.longestReconnectMs,
      "grpc.client_idle_timeout_ms": grpcLimits.idleConnectionMs,
      // Connections belong to one provider, and go where its configuration says: not to a proxy of the environment.
      "grpc.use_local_subchannel_pool": 1,
      "grpc.enable_http_proxy": 0,
      "grpc.service_config_disable_resolution": 1,
    });
  }

  /** One message for one. Throws GrpcFailure for the upstream's own status, else GatewayError. */
  async unary<Input extends DescMessage, Output extends DescMessage>(
    method: DescMethodUnary<Input, Output>,
    message: MessageInitShape<Input>,
    call: GrpcCall,
  ): Promise<GrpcReply<MessageShape<Output>>> {
    await this.#connect(call.signal);
    let headers: Metadata | undefined;
    let timedOut: GatewayError | undefined;
    const totalMs = Math.min(this.#timeouts.totalMs, call.totalMs);
    return new Promise((resolve, reject) => {
      const running = this.#client.makeUnaryRequest(
        pathOf(method),
        serialize(method.input),
        (bytes) => fromBinary(method.output, bytes),
        create(method.input, message),
        metadataOf(call),
        deadlineOf(totalMs),
        (error, reply) => {
          release();
          if (call.signal.aborted) reject(stopReason(call.signal));
          else if (error !== null) reject(timedOut ?? this.#failure(error, headers, false, totalMs));
          else if (reply === undefined) reject(transportFailure("protocol", this.origin, "an answer without a message"));
          else resolve({ message: reply, header: headerOf(() => headers) });
        },
      );
      running.on("metadata", (metadata) => {
        headers = metadata;
      });
      const timer = setTimeout(() => {
        timedOut = tooLong(this.origin, totalMs);
        running.cancel();
      }, totalMs).unref();
      const stop = () => running.cancel();
      const release = () => {
        clearTimeout(timer);
        call.signal.removeEventListener("abort", stop);
      };
      call.signal.addEventListener("abort", stop, { once: true });
      if (call.signal.aborted) stop();
    });
  }

  /** One message for many. */
  async stream<Input extends DescMessage, Output extends DescMessage>(
    method: DescMethodServerStreaming<Input, Output>,
    message: MessageInitShape<Input>,
    call: GrpcCall,
  ): Promise<MessageSource<MessageShape<Output>>> {
    await this.#connect(call.signal);
    const totalMs = Math.min(this.#timeouts.totalMs, call.totalMs);
    const received = { bytes: 0 };
    const running = this.#client.makeServerStreamRequest<MessageShape<Input>, MessageShape<Output>>(
      pathOf(method),
      serialize(method.input),
      (bytes) => {
        received.bytes += bytes.length;
        return fromBinary(method.output, bytes);
      },
      create(method.input, message),
      metadataOf(call),
      deadlineOf(totalMs),
    );
    return new StreamReader({
      running,
      received,
      totalMs,
      signal: call.signal,
      origin: this.origin,
      timeouts: this.#timeouts,
      clock: this.#clock,
      failureOf: (error, headers, begun) => this.#failure(error, headers, begun, totalMs),
    });
  }

  close(): void {
    this.#client.close();
  }

  /** Waits until the channel is connected, or is known not to be: then the call itself fails at once and says why. */
  async #connect(signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw stopReason(signal);
    const channel = this.#client.getChannel();
    const until = this.#clock.wall() + this.#connectMs;
    for (;;) {
      const state = channel.getConnectivityState(true);
      if (state !== connectivityState.IDLE && state !== connectivityState.CONNECTING) return;
      if (!(await changed(channel, state, until, signal)))
        throw transportError(new TransportFailure("connect_timeout", "no connection"), this.origin);
    }
  }

  /** What a failed call means: the upstream's own status, or what went wrong on the way. */
  #failure(error: ServiceError, headers: Metadata | undefined, begun: boolean, totalMs: number): GrpcFailure | GatewayError {
    const { code, details, metadata } = error;
    if (code === status.DEADLINE_EXCEEDED && details.startsWith("Deadline exceeded after")) return tooLong(this.origin, totalMs);
    const kind = transportKind(details, this.#names.failure);
    if (kind !== undefined) return transportError(new TransportFailure(kind, details, this.#names.failure), this.origin);
    const [bytes] = metadata.get("grpc-status-details-bin");
    const requestId = headerOf(() => metadata)("x-request-id") ?? headerOf(() => headers)("x-request-id") ?? "";
    return new GrpcFailure({
      code,
      message: details,
      details: bytes instanceof Buffer ? bytes : undefined,
      midStream: begun,
      requestId: /^[\x21-\x7e]{1,256}$/.test(requestId) ? requestId : "",
    });
  }
}

interface StreamOptions<Message> {
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
class StreamReader<Message> implements MessageSource<Message> {
  readonly header: ReplyHeader;
  readonly #options: StreamOptions<Message>;
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

  constructor(options: StreamOptions<Message>) {
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

/** Whether the state changed in time. Rejects with the signal's reason. */
function changed(
  channel: ReturnType<Client["getChannel"]>,
  state: connectivityState,
  until: number,
  signal: AbortSignal,
): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(stopReason(signal));
    signal.addEventListener("abort", stop, { once: true });
    channel.watchConnectivityState(state, until, (error) => {
      signal.removeEventListener("abort", stop);
      resolve(error === undefined || error === null);
    });
  });
}

/** What the library's own words mean; undefined for a status of the upstream. */
function transportKind(details: string, lookup: TransportFailure | undefined): TransportFailureKind | undefined {
  if (details === noAddress) return lookup?.kind ?? "dns";
  if (details.startsWith("No connection established")) return connectKind(details);
  if (/^Received message (?:larger|that decompresses)|^Attempted to send message larger/.test(details)) return "too_large";
  if (/ECONNRESET|EPIPE|^Connection dropped|^Received RST_STREAM|^Stream closed|socket hang up/i.test(details)) return "reset";
  return /^Response message parsing error|^Error parsing|^Failed to decompress|^Received compressed message|Protocol error/i.test(details)
    ? "protocol"
    : undefined;
}

function connectKind(details: string): TransportFailureKind {
  if (/ETIMEDOUT|timed out/i.test(details)) return "connect_timeout";
  if (/certificate|altnames|\bssl|\btls|EPROTO|ALPN/i.test(details)) return "upstream_tls";
  return "connect_refused";
}

function tooLong(origin: string, totalMs: number): GatewayError {
  return new GatewayError("timeout", `${origin} did not finish its answer within ${totalMs} ms`);
}

function pathOf({ parent, name }: DescMethodUnary | DescMethodServerStreaming): string {
  return `/${parent.typeName}/${name}`;
}

function serialize<Desc extends DescMessage>(schema: Desc): (message: MessageShape<Desc>) => Buffer {
  return (message) => {
    const bytes = toBinary(schema, message);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  };
}

function metadataOf({ metadata }: GrpcCall): Metadata {
  const written = new Metadata();
  for (const [name, value] of Object.entries(metadata)) written.set(name, value);
  return written;
}

function deadlineOf(totalMs: number): CallOptions {
  return { deadline: Date.now() + totalMs };
}

function headerOf(metadata: () => Metadata | undefined): ReplyHeader {
  return (name) => {
    const value = metadata()?.get(name)[0];
    return typeof value === "string" ? value : undefined;
  };
}
