/** Spans of calls and attempts by OpenTelemetry's API: what they are called and which attributes they have. */
import type { Attributes, Context, Span, SpanContext, Tracer } from "@opentelemetry/api";
import { EmbeddingType, type EmbedRequest } from "../../gen/dragoman/v1/embed_pb.ts";
import { type GenerateRequest, Modality, OutputKind } from "../../gen/dragoman/v1/generate_pb.ts";
import type { Attempt, Usage } from "../../gen/dragoman/v1/usage_pb.ts";
import type { GatewayError } from "../core/error.ts";
import type { GenerateEvent } from "../core/event.ts";
import { Fold } from "../core/fold.ts";
import type { Target } from "../core/target.ts";
import type { AttemptSpan, CallSpan, TraceContext, TracedCall } from "../core/tracing.ts";
import { names, operationNames, providerNames } from "./genai-names.ts";
import { writeFinishReason, writeInputMessages, writeInstructions, writeOutputMessages, writeToolDefinitions } from "./message-content.ts";

/** The package, which is loaded only where calls are traced. */
export type OtelApi = typeof import("@opentelemetry/api");

export interface SpanOptions {
  readonly api: OtelApi;
  readonly tracer: Tracer;
  /** The vendor's type behind a configured name. */
  readonly typeOf: (provider: string) => string | undefined;
  /** Scheme, host and port that a provider is asked at. */
  readonly originOf: (provider: string) => string | undefined;
  /** Whether spans hold what clients and models said. */
  readonly content: boolean;
}

/** What clients write into the model's name is cut to a length that no name has. */
const maxModelLength = 256;
/** From here on a failure is the gateway's or the provider's, not the client's. */
const firstServerStatus = 500;

export class OtelCallSpan implements CallSpan {
  readonly traceparent: string;
  readonly tracestate: string;
  readonly #options: SpanOptions;
  readonly #call: TracedCall;
  readonly #span: Span;
  readonly #context: Context;
  #ended = false;

  constructor(call: TracedCall, options: SpanOptions) {
    const { api, tracer } = options;
    this.#options = options;
    this.#call = call;
    const parent = readParent(call.context, api);
    const { name, attributes } = describeEntry(call);
    this.#span = tracer.startSpan(name, { kind: api.SpanKind.SERVER, attributes }, parent);
    this.#context = api.trace.setSpan(parent, this.#span);
    const written = writeContext(this.#span.spanContext());
    this.traceparent = written.traceparent;
    this.tracestate = written.tracestate;
  }

  startAttempt(attempt: Attempt, target: Target): AttemptSpan {
    return new OtelAttemptSpan(attempt, target, this.#call, this.#context, this.#options);
  }

  end(model: string, attempts: readonly Attempt[], error: GatewayError | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    if (model !== "") this.#span.setAttribute(names.requestModel, model.slice(0, maxModelLength));
    this.#span.setAttribute(names.attempts, attempts.length);
    if (error !== undefined) {
      this.#span.setAttribute(names.errorType, error.reason);
      if (error.status >= firstServerStatus) this.#span.setStatus({ code: this.#options.api.SpanStatusCode.ERROR });
    }
    this.#span.end();
  }
}

class OtelAttemptSpan implements AttemptSpan {
  readonly traceparent: string;
  readonly tracestate: string;
  readonly #options: SpanOptions;
  readonly #attempt: Attempt;
  readonly #span: Span;
  /** Undefined where nothing is kept of the content. */
  readonly #fold: Fold | undefined;
  readonly #finishReasons: string[] = [];

  constructor(attempt: Attempt, target: Target, call: TracedCall, parent: Context, options: SpanOptions) {
    const { api, tracer, typeOf, originOf, content } = options;
    this.#options = options;
    this.#attempt = attempt;
    const type = typeOf(target.provider) ?? target.provider;
    const provider = providerNames[type] ?? type;
    const operation = operationOf(call, provider);
    const attributes: Attributes = {
      [names.operation]: operation,
      [names.provider]: provider,
      [names.requestModel]: target.model,
      [names.attempt]: attempt.number,
      [names.target]: target.id,
      [names.usageId]: attempt.usageId,
      ...describeOrigin(originOf(target.provider)),
      ...(call.sessionId === "" ? {} : { [names.conversation]: call.sessionId }),
      ...(call.operation === "generate" ? { [names.requestStream]: true } : {}),
    };
    this.#span = tracer.startSpan(`${operation} ${target.model}`, { kind: api.SpanKind.CLIENT, attributes }, parent);
    this.#fold = content && this.#span.isRecording() ? new Fold() : undefined;
    const written = writeContext(this.#span.spanContext());
    this.traceparent = written.traceparent;
    this.tracestate = written.tracestate;
  }

  asked(request: GenerateRequest | EmbedRequest): void {
    if (!this.#span.isRecording()) return;
    if (request.$typeName === "dragoman.v1.EmbedRequest") {
      this.#span.setAttributes(describeEmbedding(request));
      return;
    }
    this.#span.setAttributes(describeSampling(request));
    if (this.#fold === undefined) return;
    const { stop = [] } = request.sampling ?? {};
    if (stop.length > 0) this.#span.setAttribute(names.requestStopSequences, stop);
    this.#setText(names.systemInstructions, writeInstructions(request));
    this.#setText(names.inputMessages, writeInputMessages(request));
    this.#setText(names.toolDefinitions, writeToolDefinitions(request));
  }

  saw(events: readonly GenerateEvent[]): void {
    if (!this.#span.isRecording()) return;
    this.#fold?.addAll(events);
    for (const { event } of events) {
      if (event.case === "finished") this.#finishReasons.push(writeFinishReason(event.value.reason));
      else if (event.case === "started") {
        this.#setText(names.responseId, event.value.upstreamId || undefined);
        this.#setText(names.responseModel, event.value.servedModel || undefined);
      }
    }
  }

  end(error: GatewayError | undefined): void {
    const { firstContentMs, httpStatus, usage } = this.#attempt;
    if (this.#span.isRecording()) {
      if (this.#finishReasons.length > 0) this.#span.setAttribute(names.finishReasons, this.#finishReasons);
      if (firstContentMs !== undefined) this.#span.setAttribute(names.timeToFirstChunk, firstContentMs / 1_000);
      if (httpStatus !== 0) this.#span.setAttribute(names.httpStatus, httpStatus);
      if (usage !== undefined) this.#span.setAttributes(describeUsage(usage));
      if (this.#fold !== undefined) this.#setText(names.outputMessages, writeOutputMessages(this.#fold.response().candidates));
      if (error !== undefined) {
        this.#span.setAttribute(names.errorType, error.reason);
        this.#span.setStatus({ code: this.#options.api.SpanStatusCode.ERROR });
      }
    }
    this.#span.end();
  }

  #setText(name: string, text: string | undefined): void {
    if (text !== undefined) this.#span.setAttribute(name, text);
  }
}

/** W3C trace context of a span; https://www.w3.org/TR/trace-context/#traceparent-header */
function writeContext({ traceId, spanId, traceFlags, traceState }: SpanContext): TraceContext {
  const flags = traceFlags.toString(16).padStart(2, "0");
  return { traceparent: `00-${traceId}-${spanId}-${flags}`, tracestate: traceState?.serialize() ?? "" };
}

function readParent({ traceparent, tracestate }: TraceContext, api: OtelApi): Context {
  const [, traceId = "", spanId = "", flags = "00"] = traceparent.split("-");
  if (traceId === "") return api.ROOT_CONTEXT;
  const context: SpanContext = {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16),
    isRemote: true,
    ...(tracestate === "" ? {} : { traceState: api.createTraceState(tracestate) }),
  };
  return api.trace.setSpanContext(api.ROOT_CONTEXT, context);
}

/** By which door a call came. */
function describeEntry({ path, operation, surface, dialect, requestId }: TracedCall): { name: string; attributes: Attributes } {
  const attributes: Attributes = { [names.requestId]: requestId, [names.surface]: surface, [names.dialect]: dialect };
  if (surface === "rpc") {
    const [, service = "", method = ""] = path.split("/");
    return { name: path.slice(1), attributes: { ...attributes, [names.rpcService]: service, [names.rpcMethod]: method } };
  }
  const verb = operation === "list_models" ? "GET" : "POST";
  return { name: `${verb} ${path}`, attributes: { ...attributes, [names.httpMethod]: verb, [names.httpRoute]: path } };
}

function operationOf({ operation, dialect }: TracedCall, provider: string): string {
  if (operation === "embed") return "embeddings";
  return dialect === "openai-completions" ? "text_completion" : (operationNames[provider] ?? "chat");
}

function describeOrigin(origin: string | undefined): Attributes {
  if (origin === undefined) return {};
  const { hostname, port, protocol } = new URL(origin);
  const number = port === "" ? (protocol === "http:" ? 80 : 443) : Number(port);
  return { [names.serverAddress]: hostname.replace(/^\[|\]$/g, ""), [names.serverPort]: number };
}

function describeSampling({ sampling, outputFormat }: GenerateRequest): Attributes {
  const attributes: Attributes = {};
  const put = (name: string, value: number | string | undefined): void => {
    if (value !== undefined) attributes[name] = value;
  };
  put(names.requestMaxTokens, sampling?.maxOutputTokens);
  put(names.requestTemperature, sampling?.temperature);
  put(names.requestTopP, sampling?.topP);
  put(names.requestTopK, sampling?.topK);
  put(names.requestSeed, sampling?.seed === undefined ? undefined : Number(sampling.seed));
  put(names.requestFrequencyPenalty, sampling?.frequencyPenalty);
  put(names.requestPresencePenalty, sampling?.presencePenalty);
  // The convention asks for it only where it is not one.
  if (sampling?.candidateCount !== 1) put(names.requestChoices, sampling?.candidateCount);
  put(names.outputType, outputFormat === undefined ? undefined : outputTypeOf(outputFormat));
  return attributes;
}

function outputTypeOf({ kind, modalities }: NonNullable<GenerateRequest["outputFormat"]>): string {
  if (modalities.includes(Modality.IMAGE)) return "image";
  if (modalities.includes(Modality.AUDIO)) return "speech";
  return kind === OutputKind.JSON_OBJECT || kind === OutputKind.JSON_SCHEMA ? "json" : "text";
}

const encodingNames: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(EmbeddingType).map(([name, value]) => [value, name.toLowerCase()]),
);

function describeEmbedding({ dimensions, types }: EmbedRequest): Attributes {
  return {
    ...(dimensions === undefined ? {} : { [names.embeddingDimensions]: dimensions }),
    ...(types.length === 0 ? {} : { [names.requestEncodings]: types.map((type) => encodingNames[type] ?? "float") }),
  };
}

function describeUsage(usage: Usage): Attributes {
  const counts = {
    [names.inputTokens]: usage.inputTokens,
    [names.outputTokens]: usage.outputTokens,
    [names.cacheReadTokens]: usage.cacheReadTokens,
    [names.cacheCreationTokens]: usage.cacheWriteTokens,
    [names.reasoningTokens]: usage.reasoningTokens,
  };
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count !== undefined));
}
