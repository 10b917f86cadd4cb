/**
 * Spans, as an argument: the pipeline says what happened, telemetry/traces.ts makes spans of it. Without tracing there are
 * no objects of these kinds at all, and a client's trace context is passed on as it came.
 */
import type { EmbedRequest } from "../../gen/dragoman/v1/embed_pb.ts";
import type { GenerateRequest } from "../../gen/dragoman/v1/generate_pb.ts";
import type { Attempt } from "../../gen/dragoman/v1/usage_pb.ts";
import type { GatewayError } from "./error.ts";
import type { GenerateEvent } from "./event.ts";
import type { Target } from "./target.ts";

/** W3C trace context, https://www.w3.org/TR/trace-context/ ; both are empty where there is none. */
export interface TraceContext {
  readonly traceparent: string;
  readonly tracestate: string;
}

/** A call as its span begins. */
export interface TracedCall {
  readonly requestId: string;
  readonly operation: string;
  readonly surface: string;
  readonly dialect: string;
  /** The endpoint's template or the procedure's path; empty where it is not known. */
  readonly path: string;
  readonly sessionId: string;
  /** The client's. */
  readonly context: TraceContext;
}

/** One call, as a span of kind SERVER. Methods never throw. */
export interface CallSpan extends TraceContext {
  startAttempt(attempt: Attempt, target: Target): AttemptSpan;
  /** The first time counts. `model` is as the client named it; empty where it is not known. */
  end(model: string, attempts: readonly Attempt[], error: GatewayError | undefined): void;
}

/** One attempt, as a span of kind CLIENT. Methods never throw. */
export interface AttemptSpan extends TraceContext {
  /** What the provider is asked; called before it is. */
  asked(request: GenerateRequest | EmbedRequest): void;
  /** What it answered, batch by batch. */
  saw(events: readonly GenerateEvent[]): void;
  /** The attempt's record is complete. */
  end(error: GatewayError | undefined): void;
}

export interface Tracing {
  startCall(call: TracedCall): CallSpan;
}

/** A trace context as headers; none where there is none. */
export function traceHeaders({ traceparent, tracestate = "" }: Partial<TraceContext>): Record<string, string> {
  if (traceparent === undefined || traceparent === "") return {};
  return tracestate === "" ? { traceparent } : { traceparent, tracestate };
}

/** The ids of a trace context as logs name them; none where there is no trace. */
export function traceFields({ traceparent }: Pick<TraceContext, "traceparent">): { readonly trace_id?: string; readonly span_id?: string } {
  const [, traceId, spanId] = traceparent.split("-");
  return traceId === undefined || spanId === undefined ? {} : { trace_id: traceId, span_id: spanId };
}
