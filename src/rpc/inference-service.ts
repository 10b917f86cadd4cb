/** dragoman.v1.InferenceService over the pipeline. Thin: begin the call, validate, run it, say what failed. */
import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import type { Attribution, CallOptions } from "../../gen/dragoman/v1/call_pb.ts";
import { EmbedRequestSchema } from "../../gen/dragoman/v1/embed_pb.ts";
import { GenerateRequestSchema } from "../../gen/dragoman/v1/generate_pb.ts";
import { CompleteRequestSchema, CountTokensRequestSchema, type InferenceService } from "../../gen/dragoman/v1/inference_service_pb.ts";
import { ListModelsRequestSchema } from "../../gen/dragoman/v1/model_pb.ts";
import type { Settled, TranslationNote } from "../../gen/dragoman/v1/usage_pb.ts";
import type { Call, Operation } from "../core/call.ts";
import { GatewayError, invalidField } from "../core/error.ts";
import type { CallStarter, RunningCall } from "../core/incoming.ts";
import type { Logger } from "../core/log.ts";
import type { Metrics } from "../core/metrics.ts";
import { writeDollars } from "../core/money.ts";
import type { Operations } from "../core/operations.ts";
import { rateLimitHeaders } from "../core/rate-limit-headers.ts";
import type { RequestLog } from "../core/request-log.ts";
import { writeTranslationHeader } from "../core/translation-header.ts";
import { type CallIds, idsWithoutCall, writeIds } from "./call-ids.ts";
import { toConnectError } from "./connect-error.ts";
import { principalOf, sentBodyKey } from "./gate.ts";
import { mergeDeltas } from "./merge-deltas.ts";
import type { ValidateRequest } from "./request-validator.ts";

export interface InferenceServiceOptions {
  readonly operations: Operations;
  readonly starter: CallStarter;
  readonly validate: ValidateRequest;
  /** Absent: nothing is counted. */
  readonly metrics?: Metrics | undefined;
  /** Absent: what is refused before it runs leaves no record. */
  readonly requestLog?: RequestLog | undefined;
  readonly log: Logger;
}

interface CallFacts {
  readonly attribution?: Attribution | undefined;
  readonly options?: CallOptions | undefined;
}

const translationHeader = "x-dragoman-translation";

export function createInferenceService(service: InferenceServiceOptions): ServiceImpl<typeof InferenceService> {
  const { operations, validate, starter, requestLog, metrics, log } = service;

  return {
    async *generate(request, context) {
      const running = begin("generate", request, context);
      const { call } = running;
      // Headers leave with the first event, so they are set before it.
      writeIds(context.responseHeader, call);
      try {
        check(GenerateRequestSchema, request, call);
        for await (const { events } of operations.generate(request, call)) {
          for (const event of mergeDeltas(events)) {
            if (event.event.case === "started") {
              reportReplay(context.responseHeader, event.event.value.replayed);
              reportLimits(context.responseHeader, call);
            }
            if (event.event.case === "settled") {
              report(context.responseTrailer, event.event.value.translation);
              reportCost(context.responseTrailer, event.event.value);
            }
            yield event;
          }
        }
      } catch (thrown) {
        throw failCall(thrown, call, context);
      } finally {
        running.end();
      }
    },

    complete: (request, context) =>
      answer("complete", CompleteRequestSchema, request, request.generate, context, async (call) => {
        const { response } = await operations.complete(required(request.generate), call);
        report(context.responseHeader, response.settled?.translation);
        reportCost(context.responseTrailer, response.settled);
        reportReplay(context.responseHeader, response.started?.replayed);
        return response;
      }),

    embed: (request, context) =>
      answer("embed", EmbedRequestSchema, request, request, context, async (call) => {
        const response = await operations.embed(request, call);
        report(context.responseHeader, response.settled?.translation);
        reportCost(context.responseTrailer, response.settled);
        reportReplay(context.responseHeader, response.replayed);
        return response;
      }),

    countTokens: (request, context) =>
      answer("count_tokens", CountTokensRequestSchema, request, request.generate, context, async (call) => {
        const response = await operations.countTokens(request, call);
        report(context.responseHeader, response.translation);
        return response;
      }),

    listModels: (request, context) =>
      answer("list_models", ListModelsRequestSchema, request, undefined, context, (call) => operations.listModels(request, call)),
  };

  async function answer<Desc extends DescMessage, Response>(
    operation: Operation,
    schema: Desc,
    request: MessageShape<Desc>,
    facts: CallFacts | undefined,
    context: HandlerContext,
    run: (call: Call) => Promise<Response>,
  ): Promise<Response> {
    const running = begin(operation, facts, context);
    try {
      check(schema, request, running.call);
      const response = await run(running.call);
      // Only now: an error brings the same names itself.
      writeIds(context.responseHeader, running.call);
      reportLimits(context.responseHeader, running.call);
      return response;
    } catch (thrown) {
      throw failCall(thrown, running.call, context);
    } finally {
      running.end();
    }
  }

  function check<Desc extends DescMessage>(schema: Desc, request: MessageShape<Desc>, call: Call): void {
    try {
      validate(schema, request);
    } catch (thrown) {
      if (call.operation !== "list_models") requestLog?.refused(call, "", GatewayError.from(thrown));
      throw thrown;
    }
  }

  function begin(operation: Operation, facts: CallFacts | undefined, context: HandlerContext): RunningCall {
    const { requestHeader } = context;
    const { stop, release } = followSignal(context.signal);
    try {
      const principal = principalOf(context);
      const { call, end } = starter.start({
        operation,
        surface: "rpc",
        path: `/${context.service.typeName}/${context.method.name}`,
        dialect: "dragoman",
        principal,
        header: (name) => requestHeader.get(name) ?? undefined,
        attribution: facts?.attribution,
        options: facts?.options,
        sent: context.values.get(sentBodyKey),
        clientSignal: stop,
        timeoutMs: context.timeoutMs(),
      });
      return {
        call,
        end() {
          release();
          end();
        },
      };
    } catch (thrown) {
      release();
      throw fail(thrown, idsWithoutCall(requestHeader.get("x-request-id")), context);
    }
  }

  function failCall(thrown: unknown, call: Call, context: HandlerContext): ConnectError {
    const error = GatewayError.from(thrown);
    call.span?.end("", call.attempts, error);
    return fail(error, call, context);
  }

  function fail(thrown: unknown, ids: CallIds, { method, responseHeader }: HandlerContext): ConnectError {
    const error = GatewayError.from(thrown);
    // What the pipeline has settled, it has counted.
    if (error.settled === undefined) metrics?.refused(error);
    if (error.reason === "internal") {
      const { cause } = error.details;
      log.error("a procedure failed", {
        method: method.name,
        request_id: ids.requestId,
        error: cause instanceof Error ? cause.stack : error.message,
      });
    }
    const failure = toConnectError(error, ids);
    // Clients join headers and trailers: what stands in both would come out twice.
    for (const name of responseHeader.keys()) if (name !== "content-type") failure.metadata.delete(name);
    return failure;
  }
}

/** The same signal with a reason in our words, until `release`: Connect aborts its own at the end of every call, and an error is dear. */
function followSignal(signal: AbortSignal): { readonly stop: AbortSignal; release(): void } {
  const stop = new AbortController();
  const abort = (): void => stop.abort(stopReason(signal.reason));
  if (signal.aborted) abort();
  else signal.addEventListener("abort", abort, { once: true });
  return { stop: stop.signal, release: () => signal.removeEventListener("abort", abort) };
}

function stopReason(reason: unknown): GatewayError {
  if (reason instanceof GatewayError) return reason;
  if (reason instanceof ConnectError && reason.code === Code.DeadlineExceeded)
    return new GatewayError("timeout", "the client's deadline passed");
  return new GatewayError("cancelled", "the client went away", { cause: reason });
}

function reportLimits(headers: Headers, { limits = [] }: Call): void {
  for (const [name, value] of Object.entries(rateLimitHeaders(limits))) headers.set(name, value);
}

function report(headers: Headers, notes: readonly TranslationNote[] = []): void {
  const header = writeTranslationHeader(notes);
  if (header !== "") headers.set(translationHeader, header);
}

/** Surfaces.md 2.3: plain decimal dollars; nothing where the price is not known. */
function reportCost(trailers: Headers, settled: Settled | undefined): void {
  if (settled?.costNanoUsd !== undefined) trailers.set("x-dragoman-cost-usd", writeDollars(settled.costNanoUsd));
}

function reportReplay(headers: Headers, replayed = false): void {
  if (replayed) headers.set("idempotent-replayed", "true");
}

function required<Value>(value: Value | undefined): Value {
  if (value === undefined) throw invalidField("generate", "is required");
  return value;
}
