/** Endpoints that generate, in whichever dialect, streamed and buffered. */
import type { GenerateRequest, Started } from "../../gen/dragoman/v1/generate_pb.ts";
import type { Call, ClientWire } from "../core/call.ts";
import type { AnswerFacts, Dialect, DialectRequest, EventWriter, RequestFacts } from "../core/dialect.ts";
import { GatewayError } from "../core/error.ts";
import type { EventBatch } from "../core/event.ts";
import { ulid } from "../core/id.ts";
import { isJsonObject, type JsonValue } from "../core/json.ts";
import { traceFields } from "../core/tracing.ts";
import { nameClientPaths, withCall } from "./call.ts";
import type { Answer, Exchange } from "./endpoint.ts";
import { headerOf, sendJson } from "./exchange.ts";
import { Pump } from "./pump.ts";
import { readJsonBody } from "./read-body.ts";
import { costHeader, servingHeaders } from "./reply-headers.ts";
import { inWordsOf } from "./send-error.ts";

export interface GenerateMount {
  /** Whether the path asks for a stream; absent: the body says it. */
  readonly stream?: boolean;
  /** Whether the operator's default for `stream` holds here where the body does not say (surfaces.md N4). */
  readonly usesDefaultStream?: boolean;
}

/** What a generation does beside answering its client. */
export interface GenerateObserver {
  /** Stops the call; its reason is a GatewayError. */
  readonly stop: AbortSignal;
  /** Of a stream: each batch, before it is written to the client. */
  see(batch: EventBatch): Promise<void> | undefined;
  /** The whole of a buffered answer, before it is sent. */
  keep(json: string, answer: Parameters<Dialect["writeResponse"]>[0]): Promise<void>;
  /** The call failed or was stopped; also after `see`. Never throws. */
  fail(error: GatewayError): Promise<void>;
}

/** Facts of one answer, until it is known whether an earlier call made it. */
export type OwnAnswerFacts = { -readonly [Fact in keyof AnswerFacts]: AnswerFacts[Fact] };

/** One generation: what the client asked for, and what is run for it. */
export interface Generation {
  readonly dialect: Dialect;
  /** As the client sent it; the dialect's writers get it back. */
  readonly read: DialectRequest;
  /** What is run, where it is not `read.generate`, and what its places are in `read.generate`. */
  readonly request?: GenerateRequest;
  place?(path: string): string;
  readonly streams: boolean;
  /** The client's body, where a provider may send it as it is. */
  readonly body?: JsonValue;
  readonly answerFacts: OwnAnswerFacts;
  readonly observer?: GenerateObserver | undefined;
}

export function answerGenerate(dialect: Dialect, mount: GenerateMount = {}): Answer {
  return async (exchange) => {
    const body = await readJsonBody(exchange.request, exchange.options.body);
    await answerBody(exchange, dialect, body, mount);
  };
}

/** The same for a body that has been read. Throws, or rejects with, GatewayError. */
export function answerBody(exchange: Exchange, dialect: Dialect, body: JsonValue, mount: GenerateMount = {}): Promise<void> {
  const { options } = exchange;
  const read = dialect.readRequest(body, requestFacts(exchange, mount.stream));
  const streams = read.stream ?? (mount.usesDefaultStream === true && options.defaultStream);
  return runGeneration(exchange, { dialect, read, streams, body, answerFacts: newAnswerFacts(options.clock.wall()) });
}

/** What a dialect may know of the request beside its body. */
export function requestFacts({ request, params, query }: Exchange, stream?: boolean): RequestFacts {
  return { model: params.model, stream, query, header: (name) => headerOf(request, name) };
}

/** Facts of an answer that begins now. */
export function newAnswerFacts(wall: number): OwnAnswerFacts {
  return { generationId: ulid(wall), created: Math.floor(wall / 1_000) };
}

/** Rejects with GatewayError for a wrong header, before a call begins. */
export function runGeneration(exchange: Exchange, generation: Generation): Promise<void> {
  const { dialect, read, streams, observer } = generation;
  const { attribution, options } = read.generate;
  const operation = streams ? "generate" : "complete";
  const clientPath = (path: string) => clientPathOf(generation, path);
  const facts = { operation, dialect: dialect.name, attribution, options, clientPath } as const;
  const writer = streams ? dialect.eventWriter(read, generation.answerFacts) : undefined;
  const wire = wireOf(generation, writer);
  const answer = (call: Call) => (writer === undefined ? buffer(exchange, generation, call) : stream(exchange, generation, writer, call));
  const watched = observer === undefined ? answer : (call: Call) => tellOfFailure(observer, answer(call));
  return withCall(exchange, { ...facts, wire, stop: observer?.stop }, watched);
}

async function tellOfFailure(observer: GenerateObserver, answering: Promise<void>): Promise<void> {
  try {
    await answering;
  } catch (thrown) {
    const error = GatewayError.from(thrown);
    await observer.fail(error);
    throw error;
  }
}

function clientPathOf({ dialect, read, place }: Generation, path: string): string {
  const placed = place?.(path) ?? path;
  return read.clientPath?.(placed) ?? dialect.clientPath(placed);
}

async function buffer({ response, surface, options }: Exchange, generation: Generation, call: Call): Promise<void> {
  const { dialect, read, request = read.generate, answerFacts, observer } = generation;
  const { response: answer, raw } = await options.operations.complete(request, call);
  nameClientPaths(call, (path) => clientPathOf(generation, path));
  nameAnswer(answerFacts, answer.started, call);
  const body = raw ?? dialect.writeResponse(answer, answerFacts, read);
  // What is replayed was kept when it was made.
  if (typeof body === "string" && answer.started?.replayed !== true) await observer?.keep(body, answer);
  sendJson(response, 200, { ...servingHeaders(call, surface, answer.started, options.clock.now()), ...costHeader(answer.settled) }, body);
}

/** Status and headers wait for the first batch, which comes at the commit point; after it a failure is a record. */
async function stream(exchange: Exchange, generation: Generation, firstWriter: EventWriter, call: Call): Promise<void> {
  const { response, surface, options } = exchange;
  const { dialect, read, request = read.generate, answerFacts } = generation;
  const pump = new Pump(response, call.signal);
  let writer = firstWriter;
  let { observer } = generation;
  let relayed = false;
  try {
    for await (const batch of options.operations.generate(request, call)) {
      if (!response.headersSent) {
        const started = startedOf(batch);
        // What is replayed was kept when it was made.
        if (started?.replayed) observer = undefined;
        if (nameAnswer(answerFacts, started, call)) writer = dialect.eventWriter(read, answerFacts);
      }
      const seen = observer?.see(batch);
      if (seen !== undefined) await seen;
      if (!response.headersSent) {
        relayed = batch.raw !== undefined;
        nameClientPaths(call, (path) => clientPathOf(generation, path));
        const headers = servingHeaders(call, surface, startedOf(batch), options.clock.now());
        response.writeHead(200, { ...headers, ...streamHeaders, "content-type": writer.contentType ?? eventStream });
      }
      // What the upstream sent is the answer then; `settled`, which is the gateway's own, comes without.
      if (relayed) writer.sent?.(batch);
      const bytes = relayed ? (batch.raw ?? "") : writer.write(batch);
      const blocked = bytes.length === 0 ? undefined : pump.write(bytes);
      if (blocked !== undefined) await blocked;
    }
    pump.end(relayed ? (writer.endRelayed?.() ?? "") : writer.end());
  } catch (thrown) {
    if (!response.headersSent) throw thrown;
    const error = GatewayError.from(thrown);
    if (error.reason === "internal") options.log.error("a call failed", { request_id: call.requestId, ...traceFields(call), error });
    await observer?.fail(error);
    pump.end(writer.error(inWordsOf(error, (path) => clientPathOf(generation, path))));
  }
}

/**
 * The id of an answer that can be repeated is that of its generation, so that every repeat has the same. False where the
 * answer keeps its own.
 */
function nameAnswer(facts: OwnAnswerFacts, started: Started | undefined, { options }: Call): boolean {
  if (started === undefined || options === undefined || options.idempotencyKey === "") return false;
  facts.generationId = started.generationId;
  if (started.createdAt !== undefined) facts.created = Number(started.createdAt.seconds);
  return true;
}

const eventStream = "text/event-stream; charset=utf-8";
const streamHeaders = { "cache-control": "no-cache", "x-accel-buffering": "no" };

function startedOf({ events }: EventBatch): Started | undefined {
  const first = events[0]?.event;
  return first?.case === "started" ? first.value : undefined;
}

/** A stream that is no event stream is written here: upstreams are asked for event streams. */
function wireOf({ dialect, read, body }: Generation, writer: EventWriter | undefined): ClientWire | undefined {
  if (!isJsonObject(body) || writer?.contentType !== undefined) return undefined;
  return { format: dialect.name, body, includeUsage: read.includeUsage };
}
