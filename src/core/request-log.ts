/** Who keeps a record of each call: what the pipeline's outermost stage needs of the request log (surfaces.md 2.5). */
import type { EmbedRequest, EmbedResponse } from "../../gen/dragoman/v1/embed_pb.ts";
import type { GenerateRequest } from "../../gen/dragoman/v1/generate_pb.ts";
import type { CountTokensResponse } from "../../gen/dragoman/v1/inference_service_pb.ts";
import type { Settled } from "../../gen/dragoman/v1/usage_pb.ts";
import type { Call } from "./call.ts";
import type { GatewayError } from "./error.ts";
import type { GenerateEvent } from "./event.ts";

/** Requests that are logged. */
export type LoggableRequest = GenerateRequest | EmbedRequest;

export interface RequestLog {
  /** Begins to watch a call. The request does not change while it runs. Never throws. */
  begin(call: Call, request: LoggableRequest): CallRecorder;
  /** A call that was refused before it ran; `model` is empty where nobody could read it. Never throws, never waits. */
  refused(call: Call, model: string, error: GatewayError): void;
}

/** Watches one call. Its members never throw and never wait. */
export interface CallRecorder {
  /** A tap: each batch of a stream, before it goes on. */
  see(events: readonly GenerateEvent[]): void;
  /** The reply of an operation that answers once. */
  answered(reply: EmbedResponse | CountTokensResponse): void;
  /**
   * The call is over, and so is what it cost: to be called when its last stream is, also one that is read on after the
   * client left. `error` is undefined on success; `durationMs` is what the client saw of it.
   */
  end(settled: Settled | undefined, error: GatewayError | undefined, durationMs: number): void;
}
