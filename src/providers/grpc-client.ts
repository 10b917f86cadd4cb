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
import { type CallOptions, Client, connectivityState, credentials, Metadata } from "@grpc/grpc-js";
import { stopReason } from "../core/call.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import type { GatewayError } from "../core/error.ts";
import type { Resolve } from "./egress.ts";
import { grpcLimits } from "./grpc-limits.ts";
import { headerOf, type ReplyHeader } from "./grpc-reply-header.ts";
import { resolvedTarget, UpstreamNames } from "./grpc-resolver.ts";
import { GrpcStreamReader, type MessageSource } from "./grpc-stream-reader.ts";
import { type HttpTimeouts, httpTimeouts } from "./http-limits.ts";
import { readServiceError, tooLong } from "./read-service-error.ts";
import { TransportFailure, transportError, transportFailure } from "./transport-failure.ts";
import { contextOptions, type UpstreamTls } from "./upstream-tls.ts";

export interface GrpcClientOptions extends UpstreamTls {
  /** Scheme, host and port. */
  readonly origin: URL;
  /** Whether loopback and private addresses may be connected to. */
  readonly allowPrivate: boolean;
  /** `dragoman/1.2.3`. */
  readonly userAgent: string;
  readonly timeouts?: Partial<HttpTimeouts> | undefined;
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

export interface GrpcReply<Message> {
  readonly message: Message;
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
    const { origin } = options;
    this.origin = origin.origin;
    this.#timeouts = { ...httpTimeouts, ...options.timeouts };
    this.#clock = options.clock ?? systemClock;
    this.#names = new UpstreamNames(origin, options);
    const isSecure = origin.protocol === "https:";
    this.#connectMs = this.#timeouts.connectMs + (isSecure ? this.#timeouts.tlsMs : 0);
    const { target, options: resolution } = resolvedTarget(this.#names);
    const secure = () => credentials.createFromSecureContext(createSecureContext(contextOptions(options)));
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
          else if (error !== null) reject(timedOut ?? readServiceError(error, { ...this.#place(totalMs), headers, begun: false }));
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
    return new GrpcStreamReader({
      running,
      received,
      totalMs,
      signal: call.signal,
      origin: this.origin,
      timeouts: this.#timeouts,
      clock: this.#clock,
      failureOf: (error, headers, begun) => readServiceError(error, { ...this.#place(totalMs), headers, begun }),
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

  /** What a failure of a call is told with. */
  #place(totalMs: number) {
    return { origin: this.origin, totalMs, lookup: this.#names.failure };
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
