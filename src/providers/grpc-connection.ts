/**
 * One provider's way to its gRPC upstream: the client, made at the first call, with credential, configured metadata and
 * deadline on every call, and credentials taken out of what comes back. The library is loaded only where it is used.
 */
import type { DescMessage, DescMethodServerStreaming, DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import type { AttemptCall } from "../core/call.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { GatewayError } from "../core/error.ts";
import { traceHeaders } from "../core/tracing.ts";
import type { GrpcCall, GrpcClient, GrpcReply } from "./grpc-client.ts";
import { GrpcFailure } from "./grpc-failure.ts";
import type { MessageSource } from "./grpc-stream-reader.ts";
import { credentialHeader, headerSecrets, readConfiguredHeaders } from "./http-headers.ts";
import { httpLimits } from "./http-limits.ts";
import type { ProviderSetup } from "./provider-kind.ts";
import { Redactor } from "./redactor.ts";

/** A vendor's or gateway's meaning of a status. */
export type ReadFailure = (failure: GrpcFailure) => GatewayError;

/** Metadata that depends on the call, by lower-case name. */
export type CallMetadata = (call: AttemptCall) => Readonly<Record<string, string>>;

export class GrpcConnection {
  /** The provider's configured name. */
  readonly name: string;
  readonly #setup: ProviderSetup;
  readonly #metadata: Readonly<Record<string, string>>;
  readonly #redactor: Redactor;
  readonly #clock: Clock;
  readonly #readFailure: ReadFailure;
  readonly #callMetadata: CallMetadata;
  #client: Promise<GrpcClient> | undefined;
  #closed = false;

  /** Throws Error naming the setting that cannot be. Connects nowhere. */
  constructor(setup: ProviderSetup, readFailure: ReadFailure, callMetadata: CallMetadata = () => ({})) {
    const { settings, baseUrl, credential } = setup;
    if (baseUrl.pathname !== "/") throw new Error("base_url: has a path, and gRPC has none; leave only scheme, host and port");
    this.name = settings.name;
    this.#setup = setup;
    this.#readFailure = readFailure;
    this.#callMetadata = callMetadata;
    this.#clock = setup.dependencies.clock ?? systemClock;
    const configured = readConfiguredHeaders(settings.headers ?? {});
    if (credential !== undefined && Object.hasOwn(configured, credential.header)) {
      throw new Error(`headers.${credential.header}: the api_key is sent in this header; set one of the two`);
    }
    this.#metadata = { ...configured, ...(credential === undefined ? {} : credentialHeader(credential)) };
    this.#redactor = new Redactor([...(credential === undefined ? [] : [credential.secret]), ...headerSecrets(configured)]);
  }

  /** Throws GatewayError. */
  async unary<Input extends DescMessage, Output extends DescMessage>(
    method: DescMethodUnary<Input, Output>,
    message: MessageInitShape<Input>,
    call: AttemptCall,
    signal: AbortSignal = call.signal,
  ): Promise<GrpcReply<MessageShape<Output>>> {
    try {
      const client = await this.#open();
      const reply = await client.unary(method, message, this.#callOf(call, signal));
      call.attempt.httpStatus = 200;
      return reply;
    } catch (thrown) {
      throw this.failure(thrown, call);
    }
  }

  /** For calls that no client made, such as for the list of models. Throws GatewayError. */
  async ask<Input extends DescMessage, Output extends DescMessage>(
    method: DescMethodUnary<Input, Output>,
    message: MessageInitShape<Input>,
    signal: AbortSignal,
  ): Promise<MessageShape<Output>> {
    try {
      const client = await this.#open();
      return (await client.unary(method, message, { metadata: this.#metadata, signal, totalMs: httpLimits.modelListMs })).message;
    } catch (thrown) {
      throw this.failure(thrown);
    }
  }

  /** What its source throws goes through `failure`. Throws GatewayError. */
  async stream<Input extends DescMessage, Output extends DescMessage>(
    method: DescMethodServerStreaming<Input, Output>,
    message: MessageInitShape<Input>,
    call: AttemptCall,
  ): Promise<MessageSource<MessageShape<Output>>> {
    try {
      const client = await this.#open();
      return await client.stream(method, message, this.#callOf(call, call.signal));
    } catch (thrown) {
      throw this.failure(thrown, call);
    }
  }

  /** What was thrown as a GatewayError without credentials. Notes in the attempt that the upstream itself refused. */
  failure(thrown: unknown, call?: AttemptCall): GatewayError {
    if (thrown instanceof GrpcFailure) {
      // A refusal before any message: as with HTTP, its status says that nothing was billed.
      if (call !== undefined && !thrown.midStream) call.attempt.httpStatus = thrown.httpStatus;
      if (call !== undefined && thrown.requestId !== "") call.attempt.upstreamRequestId = thrown.requestId;
      return this.#redactor.error(this.#readFailure(thrown));
    }
    return this.#redactor.error(GatewayError.from(thrown));
  }

  async close(): Promise<void> {
    this.#closed = true;
    const client = await this.#client?.catch(() => undefined);
    client?.close();
  }

  #open(): Promise<GrpcClient> {
    if (this.#closed) return Promise.reject(new GatewayError("cancelled", "the gateway is shutting down"));
    this.#client ??= this.#connect();
    return this.#client;
  }

  async #connect(): Promise<GrpcClient> {
    const { GrpcClient } = await import("./grpc-client.ts");
    const { settings, baseUrl, allowPrivate, dependencies } = this.#setup;
    return new GrpcClient({
      origin: baseUrl,
      allowPrivate,
      userAgent: `dragoman/${dependencies.version}`,
      timeouts: settings.timeouts,
      certificateAuthority: settings.certificateAuthority,
      clientCertificate: settings.clientCertificate,
      resolve: dependencies.resolve,
      clock: dependencies.clock,
    });
  }

  #callOf(call: AttemptCall, signal: AbortSignal): GrpcCall {
    return {
      metadata: { ...traceHeaders(call), ...this.#callMetadata(call), ...this.#metadata },
      signal,
      totalMs: Math.max(1, Math.ceil(call.deadline - this.#clock.now())),
    };
  }
}
