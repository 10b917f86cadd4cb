/** One client request's context, from the surface that took it to the provider that answers. */
import type { Attribution, CallOptions } from "../../gen/dragoman/v1/call_pb.ts";
import type { Attempt, TranslationNote } from "../../gen/dragoman/v1/usage_pb.ts";
import type { CallBodies } from "./body-hash.ts";
import { GatewayError } from "./error.ts";
import type { JsonObject } from "./json.ts";
import type { LimitLevel } from "./limits.ts";
import type { Principal } from "./principal.ts";
import type { Target } from "./target.ts";
import type { CallSpan } from "./tracing.ts";

export type Operation = "generate" | "complete" | "embed" | "count_tokens" | "list_models";

/**
 * The client's request as it was sent, for a provider whose upstream speaks the same wire format: it may send the patched
 * body and relay the answer's bytes. A stage that sees or changes content passes the call on without it.
 */
export interface ClientWire {
  /** The wire format of request and answer. */
  readonly format: string;
  /** What parseJson gave; never changed. */
  readonly body: JsonObject;
  /** Whether the client asked for usage in the stream. */
  readonly includeUsage: boolean;
}

/** Empty until admission knows. */
export interface ResolvedModel {
  /** The first target's name of the model. */
  model: string;
  route: string;
}

/** Durations of steps, in milliseconds; absent: the step did not run, or has not ended. */
export interface CallTimings {
  /** Finding targets for the model's name. */
  modelResolve?: number;
  /** Handing the request log's record over. */
  requestLog?: number;
  /** Handing usage over to the ledger. */
  usageEmit?: number;
  /** What else was done when the answer was known. */
  sideEffects?: number;
}

export interface Call {
  /** The gateway's own unique id, a ULID. */
  readonly requestId: string;
  /** What the client sent as x-request-id, else the gateway's; echoed, never a key. */
  readonly clientRequestId: string;
  readonly operation: Operation;
  /** Family of paths the call came by: `rpc`, `v1`. */
  readonly surface: string;
  /** The wire format the client speaks, `dragoman` on RPC. */
  readonly dialect: string;
  readonly principal: Principal;
  /** The one way to stop a call. Its reason is a GatewayError: `cancelled` (the client left) or `timeout`. */
  readonly signal: AbortSignal;
  /** When the call began, by the monotonic clock, in milliseconds. */
  readonly startedAt: number;
  /** When the call must be over, by the same clock. */
  readonly deadline: number;
  /**
   * W3C trace context that is passed on to providers that take it: of this call's span (of the attempt's, in an attempt)
   * where calls are traced, else the client's; empty where there is none.
   */
  readonly traceparent: string;
  readonly tracestate?: string;
  /** Absent where calls are not traced. */
  readonly span?: CallSpan | undefined;
  readonly attribution: Attribution | undefined;
  readonly options: CallOptions | undefined;
  /** Which one it is of several calls that answer one request together; absent: it is the only one. */
  readonly part?: number | undefined;
  /** Undefined where the answer must be written from events. */
  readonly wire?: ClientWire | undefined;
  /** Every try, in order; grows while the call runs. */
  readonly attempts: Attempt[];
  /** What the target of the running attempt could not take; a new attempt begins with none. */
  readonly translation: TranslationNote[];
  /** Absent: bodies are not hashed. */
  readonly bodies?: CallBodies | undefined;
  /** Filled in step by step, and seen by every copy of the call. */
  readonly timings?: CallTimings | undefined;
  /** What the model's name became, told by admission to every copy of the call. */
  readonly resolved?: ResolvedModel;
  /** What is left of the limits that hold for the call, for the answer's headers; filled in before it is dispatched. */
  readonly limits?: LimitLevel[] | undefined;
  /** The targets that admission chose, first to try first. Empty before admission. */
  readonly targets: readonly Target[];
  /** Most targets that one call may try. */
  readonly maxAttempts: number;
  /** The alias that was used; empty where the model was named directly. */
  readonly route: string;
}

/** A call as a provider sees it: with the record of this attempt to fill in. */
export interface AttemptCall extends Call {
  /** The provider sets `httpStatus` and `upstreamRequestId`; the pipeline sets the rest. */
  readonly attempt: Attempt;
  /** Whether the client waits for the whole answer: a provider may then ask its upstream for one. */
  readonly buffered: boolean;
}

/** Throws the reason of a call that was stopped. */
export function throwIfStopped(call: Pick<Call, "signal">): void {
  if (call.signal.aborted) throw stopReason(call.signal);
}

/** Why a call was stopped, as an error that says so. */
export function stopReason(signal: AbortSignal): GatewayError {
  const { reason } = signal;
  return reason instanceof GatewayError ? reason : new GatewayError("cancelled", "the client went away", { cause: reason });
}
