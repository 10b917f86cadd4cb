/**
 * The two halves of a codec. Plain synchronous functions over whole values and frames: no I/O, no clock, no mutation of
 * what they are given. Read is wire to ours, write is ours to wire, always seen from our side.
 */
import type { EmbedRequest, EmbedResponse } from "../../gen/dragoman/v1/embed_pb.ts";
import type { CompleteResponse, GenerateRequest } from "../../gen/dragoman/v1/generate_pb.ts";
import type { CountTokensResponse } from "../../gen/dragoman/v1/inference_service_pb.ts";
import type { ClientWire } from "./call.ts";
import type { GatewayError } from "./error.ts";
import type { EventBatch, GenerateEvent } from "./event.ts";
import type { JsonValue } from "./json.ts";
import type { Frame, SseRecord } from "./sse.ts";
import type { Target } from "./target.ts";
import type { TranslationReport } from "./translation.ts";

// ---- client half -----------------------------------------------------------------------------------------------------

/** What a request says outside its body. */
export interface RequestFacts {
  /** The model that the path names, percent-decoded; undefined where the body names it. */
  readonly model?: string | undefined;
  /** Whether the path asks for a stream; undefined where the body says it. */
  readonly stream?: boolean | undefined;
  /** Query parameters. */
  readonly query?: URLSearchParams | undefined;
  /** A request header by lower-case name. */
  header?(name: string): string | undefined;
}

/** A client's request, read. */
export interface DialectRequest {
  readonly generate: GenerateRequest;
  /** Whether the client asked for a stream; undefined where it did not say. */
  readonly stream: boolean | undefined;
  /** Whether the client asked for usage in the stream. */
  readonly includeUsage: boolean;
  /**
   * What the dialect's own writers must know of the request, for example fields that an answer repeats. The caller hands
   * it back and never looks inside.
   */
  readonly rendering?: unknown;
  /**
   * Instead of the dialect's own, where places depend on the request: the system text of some dialects stands apart from
   * the messages, and is a message in the core.
   */
  clientPath?(path: string): string;
}

/** Facts of the answer that are the gateway's to say. */
export interface AnswerFacts {
  /** Used where the provider gave no id of this dialect's shape. */
  readonly generationId: string;
  /** Seconds since 1970, used where the provider gave no time. */
  readonly created: number;
}

/** Facts that an error's body may repeat. */
export interface ErrorFacts {
  /** The gateway's own id of the call. */
  readonly requestId: string;
}

export interface EventWriter {
  /** Of the whole stream; absent: `text/event-stream; charset=utf-8`. */
  readonly contentType?: string;
  /** The bytes of a batch's events as text; empty where they have no form in this dialect. */
  write(batch: EventBatch): string;
  /** A failure after the first byte: the dialect's error record. Nothing follows it. */
  error(error: GatewayError): string;
  /** Of a stream whose bytes are the upstream's: what the client was sent, for writers whose last records go on from it. */
  sent?(batch: EventBatch): void;
  /** The end of a stream that succeeded. */
  end(): string;
  /** The end of one whose bytes are the upstream's: what its relay kept back for the gateway to say. Absent: nothing. */
  endRelayed?(): string;
}

export interface Dialect {
  /** The wire format's name in extras_json and reports. */
  readonly name: string;
  /** Throws GatewayError naming the field's path. `body` is what parseJson gave. */
  readRequest(body: JsonValue, facts: RequestFacts): DialectRequest;
  /** JSON text of the buffered answer. */
  writeResponse(response: CompleteResponse, facts: AnswerFacts, request: DialectRequest): string;
  eventWriter(request: DialectRequest, facts: AnswerFacts): EventWriter;
  /** The body of an answer that is an error, as JSON.stringify takes it. */
  writeError(error: GatewayError, facts: ErrorFacts): unknown;
  /** A path in the core request in this dialect's own words; the path itself where there is no other. */
  clientPath(path: string): string;
}

/** How a dialect asks for a count of tokens. */
export interface CountTokensDialect {
  readonly name: string;
  /** The call to count, and its places where they depend on it. Throws GatewayError naming the field's path. */
  readRequest(body: JsonValue, facts: RequestFacts): Pick<DialectRequest, "generate" | "clientPath">;
  /** JSON text. */
  writeResponse(response: CountTokensResponse): string;
  writeError(error: GatewayError, facts: ErrorFacts): unknown;
  clientPath(path: string): string;
}

/** How a dialect asks for embeddings. `Rendering` is what its writer must know of the request. */
export interface EmbedDialect<Rendering = unknown> {
  /** The wire format's name in extras_json and reports. */
  readonly name: string;
  /** Throws GatewayError naming the field's path. */
  readRequest(body: JsonValue, facts: RequestFacts): { embed: EmbedRequest; rendering: Rendering };
  /** JSON text. */
  writeResponse(response: EmbedResponse, rendering: Rendering): string;
  writeError(error: GatewayError, facts: ErrorFacts): unknown;
  /** A path in the core request in this dialect's own words. */
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

/** Cuts the bytes of a stream into frames, however they arrive. SseReader is the usual one. */
export interface FrameReader {
  /** The frames that these bytes complete. Throws GatewayError provider_error for what cannot be read. */
  read(chunk: Uint8Array): Frame[];
}

/** How the bytes of one answer reach a client that speaks the upstream's format. Never throws. */
export interface AnswerRelay {
  /**
   * One record of the stream, after its events were read: `source` itself where the client gets it as it is, other text in
   * its place, or empty text to keep it from the client.
   */
  writeRecord(record: SseRecord, events: readonly GenerateEvent[]): string;
  /** What the client still expects when the stream was complete; mostly empty, and so where the dialect's writer ends it. */
  end(): string;
  /** Whether a whole answer reaches the client as it is. `events` are what was read from it. */
  keepsWhole(body: string, events: readonly GenerateEvent[]): boolean;
}

/**
 * Same format on both sides (design.md 4, rule 10): the request is patched and the answer's bytes are relayed. Request and
 * answer are decided on their own, so an answer may be relayed although the request had to be written anew.
 */
export interface RelayCodec {
  /**
   * The client's own body with what must differ: model, stream, what is not forwarded. Undefined where the target needs
   * another body than the client wrote, and in doubt: writeRequest knows. `wire.body` is never changed.
   */
  patchRequest(request: GenerateRequest, wire: ClientWire, target: Target, options: WriteOptions): UpstreamRequest | undefined;
  /** Undefined where the answer must be written from events, for example because names in it are undone. */
  relayAnswer(written: UpstreamRequest, wire: ClientWire): AnswerRelay | undefined;
}

/** How a vendor counts the tokens of a call. */
export interface TokenCountCodec {
  writeRequest(request: GenerateRequest, target: Target): UpstreamRequest;
  /** `provider` and `servedModel` are the caller's to fill in. Throws GatewayError where there is no count. */
  readResponse(body: string, provider: string): CountTokensResponse;
}

/** Media by kind of part. */
export type MediaKind = "image" | "audio" | "file" | "video";

export interface UpstreamCodec {
  readonly format: string;
  /** Of streamed answers; absent: `text/event-stream`. */
  readonly streamType?: string;
  /** For streams that are not server-sent events. */
  frameReader?(): FrameReader;
  /** For clients that speak the same format; absent: every answer is written from events. */
  readonly relay?: RelayCodec;
  /** For vendors that count. */
  readonly counting?: TokenCountCodec;
  /**
   * Whether the target takes this media by its URL. Where not, and fetching is allowed, the provider fetches it and hands
   * in a request with data. Absent: never asked, URLs are written or refused as the format has it.
   */
  takesUrl?(url: string, kind: MediaKind, target: Target): boolean;
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

/** Same format on both sides: the request is patched and the answer's bytes are relayed, vectors unseen. */
export interface EmbedRelayCodec {
  /** The client's own body with what must differ. Undefined where the target needs another; writeRequest knows. */
  patchRequest(request: EmbedRequest, wire: ClientWire, target: Target): UpstreamEmbedRequest | undefined;
  /** One for each answer to a patched request. */
  tapAnswer(request: EmbedRequest, wire: ClientWire, provider: string): EmbedTap;
}

/** What an answer says beside its vectors, read while it comes. Never throws. */
export interface EmbedTap {
  see(chunk: Buffer): void;
  /**
   * To be called when all was seen; `embeddings` is empty. Undefined where the answer cannot reach the client as it is:
   * readResponse then says why, or what it means.
   */
  end(): EmbedResponse | undefined;
}

export interface EmbedCodec {
  readonly format: string;
  /** For clients that speak the same format; absent: every answer is read and written anew. */
  readonly relay?: EmbedRelayCodec;
  /** Most inputs of one upstream request; the provider splits and joins. */
  readonly maxInputs: number;
  writeRequest(request: EmbedRequest, target: Target): UpstreamEmbedRequest;
  /** Embeddings with indexes from 0 in input order, usage and served model. `count` inputs were sent. */
  readResponse(body: string, request: EmbedRequest, provider: string): EmbedResponse;
  readError(status: number, body: string, headers: ResponseHeaders, provider: string): GatewayError;
}
