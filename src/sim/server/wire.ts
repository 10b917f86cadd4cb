/** What every simulated wire format does, so that one player can play any script in any of them. */
import type { IncomingHttpHeaders } from "node:http";
import type { Counts, Move } from "../compose.ts";
import type { Prompt } from "../prompt.ts";
import type { JsonObject } from "../shape.ts";
import type { Problem } from "./problem.ts";

/** One record of a stream. */
export interface Frame {
  readonly event?: string;
  /** JSON value; a string is written as it stands. */
  readonly data: JsonObject | string;
}

/** How records of a stream become bytes, where they are not server-sent events. */
export interface Framing {
  /** Content type of the stream. */
  readonly type: string;
  encode(frame: Frame): Buffer;
  /** The same for a payload that is no text. */
  encodeBytes(event: string, payload: Uint8Array): Buffer;
  /** The beginning of a record whose payload has so many bytes, up to the payload. */
  begin(bytes: number): Buffer;
}

/** A request as it came in. */
export interface RequestFacts {
  readonly body: JsonObject;
  readonly headers: IncomingHttpHeaders;
  /** What the path says: model and stream of Gemini. */
  readonly model: string;
  readonly stream: boolean;
  /** Query `alt=sse` of Gemini. */
  readonly sse: boolean;
  readonly lenient: boolean;
}

/** A request that was checked and read. */
export interface Reading {
  readonly model: string;
  readonly prompt: Prompt;
  readonly stream: boolean;
  /** Stream as one JSON array instead of SSE (Gemini without alt=sse). */
  readonly array: boolean;
  /** Unknown fields by path, in lenient mode; they are echoed. */
  readonly unknown: JsonObject;
  readonly body: JsonObject;
}

export type ContentMove = Extract<Move, { is: "open" | "grow" | "close" | "finish" }>;

/** Writes one answer. Every move is given to it, also for a buffered answer; frames are those of a stream. */
export interface AnswerWriter {
  begin(usage: JsonObject | undefined): Frame[];
  write(move: ContentMove): Frame[];
  /** The last frames: usage and end mark. */
  end(usage: JsonObject | undefined): Frame[];
  /** A record that only tells usage. */
  usageOnly(usage: JsonObject): Frame[];
  error(problem: Problem): Frame[];
  /** Empty: a comment does it. */
  keepAlive(): Frame[];
  /** The buffered answer. */
  body(usage: JsonObject | undefined): JsonObject;
}

export interface Wire {
  /** As in the contract: openai-chat, anthropic-messages, ... */
  readonly format: string;
  /** Family of reasoning signatures. */
  readonly family: string;
  /** Line end of its streams. */
  readonly lineEnd: "\n" | "\r\n";
  /** Where its streams are not server-sent events. */
  readonly framing?: Framing;
  /** Whether parallel calls may grow in turns. */
  readonly interleave: boolean;
  readonly callIdPrefix: string;
  /** Throws Refusal. */
  read(request: RequestFacts): Reading;
  writer(reading: Reading): AnswerWriter;
  usage(counts: Counts): JsonObject;
  vendor: Vendor;
}

export interface VerifiedRequest {
  readonly method: string;
  readonly target: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** What is common to all paths of a vendor. */
export interface Vendor {
  readonly name: string;
  /** Key of the request, or the refusal for a missing or bad one. */
  credential(headers: IncomingHttpHeaders, query: URLSearchParams): { readonly key: string; readonly problem?: Problem };
  /** What is wrong with a credential that is over the whole request; `target` is path and query as they came. */
  verify?(request: VerifiedRequest): Problem | undefined;
  error(problem: Problem): JsonObject;
  /** Headers of an answer that is an error. */
  errorHeaders?(problem: Problem): Record<string, string>;
  /** Content type of its streams, where they are not server-sent events. */
  readonly streamType?: string;
  /** Headers of every answer. */
  headers(requestId: string): Record<string, string>;
}
