/** What every endpoint that runs a call does around it: begin, render the failure in the client's words, end. */
import type { Attribution, CallOptions } from "../../gen/dragoman/v1/call_pb.ts";
import type { Call, ClientWire, Operation } from "../core/call.ts";
import { GatewayError } from "../core/error.ts";
import type { RunningCall } from "../core/incoming.ts";
import { pathTemplateOf } from "../core/path-template.ts";
import { traceFields } from "../core/tracing.ts";
import type { Exchange } from "./endpoint.ts";
import { headerOf } from "./exchange.ts";
import { inWordsOf, sendError } from "./send-error.ts";

export interface CallFacts {
  readonly operation: Operation;
  /** Wire format of the endpoint. */
  readonly dialect: string;
  readonly attribution?: Attribution | undefined;
  readonly options?: CallOptions | undefined;
  readonly wire?: ClientWire | undefined;
  readonly part?: number | undefined;
  /** Stops the call beside the client's own leaving; its reason is a GatewayError. */
  readonly stop?: AbortSignal | undefined;
  clientPath(path: string): string;
}

/** Runs `answer` with a call. A failure before the first byte becomes the surface's error, with the call's ids. */
export async function withCall(exchange: Exchange, facts: CallFacts, answer: (call: Call) => Promise<void>): Promise<void> {
  const { call, end } = beginCall(exchange, facts);
  try {
    await answer(call);
  } catch (thrown) {
    failCall(exchange, call, thrown, facts.clientPath);
  } finally {
    end();
  }
}

/** Throws GatewayError for a wrong header. The caller ends what it begins. */
export function beginCall(exchange: Exchange, { stop, ...facts }: CallFacts): RunningCall {
  const { request, surface, principal, clientSignal, sent, options } = exchange;
  return options.starter.start({
    ...facts,
    surface: surface.name,
    path: pathTemplateOf(request),
    principal,
    sent,
    clientSignal: stop === undefined ? clientSignal : AbortSignal.any([clientSignal, stop]),
    header: (name) => headerOf(request, name),
  });
}

/** Answers with a failure, where nothing has been sent. */
export function failCall({ response, surface, options }: Exchange, call: Call, thrown: unknown, clientPath: CallFacts["clientPath"]): void {
  const error = inWordsOf(GatewayError.from(thrown), clientPath);
  // What the pipeline has settled, it has counted.
  if (error.settled === undefined) options.metrics?.refused(error);
  call.span?.end("", call.attempts, error);
  if (error.reason === "internal") options.log.error("a call failed", { request_id: call.requestId, ...traceFields(call), error });
  sendError(response, surface, error, call);
}

/** Notes name the field in the core request; clients know their own names. */
export function nameClientPaths(call: Call, clientPath: (path: string) => string): void {
  for (const note of call.translation) note.clientPath ||= clientPath(note.path);
}
