/** How a surface begins a call: from headers and a read request to a Call. Implemented by pipeline/call-starter.ts. */
import type { Attribution, CallOptions } from "../../gen/dragoman/v1/call_pb.ts";
import type { BodyHash } from "./body-hash.ts";
import type { Call, ClientWire, Operation } from "./call.ts";
import type { Principal } from "./principal.ts";

export interface IncomingCall {
  readonly operation: Operation;
  /** Family of paths: `rpc`, `v1`, `gemini`. */
  readonly surface: string;
  /** The client's wire format; `dragoman` on RPC. */
  readonly dialect: string;
  readonly principal: Principal;
  /** A request header by lower-case name. */
  header(name: string): string | undefined;
  /** What the request's body or message says; headers are merged into a copy, a disagreement is refused. */
  readonly attribution?: Attribution | undefined;
  readonly options?: CallOptions | undefined;
  readonly wire?: ClientWire | undefined;
  /** As in Call. */
  readonly part?: number | undefined;
  /** The endpoint: a path's template or a procedure's path, as in `/v1/chat/completions`. */
  readonly path?: string | undefined;
  /** Aborted when the client goes away or its transport's deadline passes. */
  readonly clientSignal: AbortSignal;
  /** Of the answer that the client gets; absent: bodies are not hashed. */
  readonly sent?: BodyHash | undefined;
  /** Deadline of the transport (grpc-timeout, connect-timeout-ms) in milliseconds from now. */
  readonly timeoutMs?: number | undefined;
}

export interface RunningCall {
  /** `attribution` and `options` of the call hold the merged facts. */
  readonly call: Call;
  /** Frees the call's timer. Call it in a `finally`. */
  end(): void;
}

export interface CallStarter {
  /** Throws GatewayError: invalid_request (a bad header value), conflicting_attribution. */
  start(incoming: IncomingCall): RunningCall;
}
