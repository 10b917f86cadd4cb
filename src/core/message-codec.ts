/**
 * The upstream half of a wire format whose records are protobuf messages instead of text. Rules as in dialect.ts: plain
 * synchronous functions, no I/O, no mutation of what they are given.
 */
import type { GenerateRequest } from "../../gen/dragoman/v1/generate_pb.ts";
import type { MediaKind } from "./dialect.ts";
import type { GenerateEvent } from "./event.ts";
import type { Target } from "./target.ts";
import type { TranslationReport } from "./translation.ts";

/** What to send. */
export interface MessageRequest<Request> {
  readonly message: Request;
  /** What could not be carried; the caller settles it. */
  readonly report: TranslationReport;
  /** What the codec must know to read the answer; the caller hands it on and never looks inside. */
  readonly state?: unknown;
}

/** Reads the messages of one stream; one per attempt. */
export interface MessageReader<Chunk> {
  /** Throws GatewayError for what cannot be an answer. */
  read(chunk: Chunk): GenerateEvent[];
  /** The stream ended well. Remaining events; throws provider_error where the answer is not complete. */
  end(): GenerateEvent[];
  /** The stream broke: ends open blocks as incomplete. Never throws. */
  abandon(): GenerateEvent[];
}

export interface MessageCodec<Request, Chunk, Reply> {
  readonly format: string;
  /** As of an UpstreamCodec. */
  takesUrl?(url: string, kind: MediaKind, target: Target): boolean;
  /** Throws GatewayError only for what no target could take; losses go into the report. */
  writeRequest(request: GenerateRequest, target: Target): MessageRequest<Request>;
  /** `provider` is the configured name: it marks signatures. `state` is that of the MessageRequest. */
  eventReader(provider: string, state?: unknown): MessageReader<Chunk>;
  /** A whole reply turned into the events it would have streamed. Throws as MessageReader does. */
  readResponse(reply: Reply, provider: string, state?: unknown): GenerateEvent[];
}
