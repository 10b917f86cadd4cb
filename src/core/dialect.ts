/**
 * The two halves of a codec. Plain synchronous functions over whole values and frames: no I/O, no clock, no mutation of
 * what they are given. Read is wire to ours, write is ours to wire, always seen from our side.
 */

import type { EmbedRequest, EmbedResponse } from "../../gen/dragoman/v1/embed_pb.ts";
import type { CompleteResponse, GenerateRequest } from "../../gen/dragoman/v1/generate_pb.ts";
import type { GatewayError } from "./error.ts";
import type { EventBatch, GenerateEvent } from "./event.ts";
import type { JsonValue } from "./json.ts";
import type { Frame } from "./sse.ts";
import type { Target } from "./target.ts";
import type { TranslationReport } from "./translation.ts";

// ---- client half -----------------------------------------------------------------------------------------------------

/** A client's request, read. */
export interface DialectRequest {
  readonly generate: GenerateRequest;
  /** Whether the client asked for a stream; undefined where it did not say. */
  readonly stream: boolean | undefined;
  /** Whether the client asked for usage in the stream. */
  readonly includeUsage: boolean;
}

/** Facts of the answer that are the gateway's to say. */
export interface AnswerFacts {
  /** Used where the provider gave no id of this dialect's shape. */
  readonly generationId: string;
  /** Seconds since 1970, used where the provider gave no time. */
  readonly created: number;
}

export interface EventWriter {
  /** The bytes of a batch's events as text; empty where they have no form in this dialect. */
  write(batch: EventBatch): string;
  /** A failure after the first byte: the dialect's error record. Nothing follows it. */
  error(error: GatewayError): string;
  /** The end of a stream that succeeded. */
  end(): string;
}

export interface Dialect {
  /** The wire format's name in extras_json and reports. */
  readonly name: string;
  /** Throws GatewayError naming the field's path. `body` is what parseJson gave. */
  readRequest(body: JsonValue): DialectRequest;
  /** JSON text of the buffered answer. */
  writeResponse(response: CompleteResponse, facts: AnswerFacts): string;
  eventWriter(request: DialectRequest, facts: AnswerFacts): EventWriter;
  /** A path in the core request in this dialect's own words; the path itself where there is no other. */
  clientPath(path: string): string;
}

// ---- upstream half ---------------------------------------------------------------------------------------------------

/** What to send, before the provider adds origin, credential and connection headers. */
export interface UpstreamRequest {
  /** Below the provider's base URL, beginning with a slash: `/chat/completions`. Query included. */
  readonly path: string;
  /** Lower-case names; content-type is the provider's to add. */
  readonly headers: Readonly<Record<string, string>>;
  /** JSON text. */
  readonly body: string;
  /** What could not be carried; the caller settles it. */
  readonly report: TranslationReport;
  /**
   * What the codec must know to read the answer, for example tool names as the client wrote them. The caller hands it to
   * `eventReader` or `readResponse` of the same codec and never looks inside.
   */
  readonly state?: unknown;
}

/** Reads the frames of one stream; one per attempt. */
export interface EventReader {
  /** Events of one frame. Throws GatewayError for an error record and for a record that cannot be read. */
  read(frame: Frame): GenerateEvent[];
  /** The stream ended. Remaining events; throws provider_error where the end mark is missing. */
  end(): GenerateEvent[];
  /** The stream broke: ends open blocks as incomplete. Never throws. */
  abandon(): GenerateEvent[];
  /** True once the end mark was read: what follows is ignored. */
  readonly done: boolean;
}

export interface WriteOptions {
  readonly stream: boolean;
}

/** Names, by provider, of what an answer's headers say. */
export type ResponseHeaders = (name: string) => string | undefined;

export interface UpstreamCodec {
  readonly format: string;
  /** Throws GatewayError only for what no target could take; losses go into the report. */
  writeRequest(request: GenerateRequest, target: Target, options: WriteOptions): UpstreamRequest;
  /** `provider` is the configured name: it marks signatures. `state` is that of the UpstreamRequest. */
  eventReader(provider: string, state?: unknown): EventReader;
  /** A whole reply turned into the events it would have streamed. Throws as EventReader does. */
  readResponse(body: string, provider: string, state?: unknown): GenerateEvent[];
  /** A reply with an error status. `body` may be anything, cut at 64 KiB. */
  readError(status: number, body: string, headers: ResponseHeaders, provider: string): GatewayError;
}

export interface UpstreamEmbedRequest extends UpstreamRequest {}

export interface EmbedCodec {
  readonly format: string;
  /** Most inputs of one upstream request; the provider splits and joins. */
  readonly maxInputs: number;
  writeRequest(request: EmbedRequest, target: Target): UpstreamEmbedRequest;
  /** Embeddings with indexes from 0 in input order, usage and served model. `count` inputs were sent. */
  readResponse(body: string, request: EmbedRequest, provider: string): EmbedResponse;
  readError(status: number, body: string, headers: ResponseHeaders, provider: string): GatewayError;
}
