/** Writes answers for a test, streamed and whole, and reads them back as an upstream's. */
import { create, toJson } from "@bufbuild/protobuf";
import {
  BlockKind,
  type CompleteResponse,
  CompleteResponseSchema,
  FinishReason,
  GenerateRequestSchema,
  ToolKind,
} from "../../../gen/dragoman/v1/generate_pb.ts";
import { createGeminiCodec, geminiDialect } from "../../../src/codecs/gemini/index.ts";
import type { DialectRequest, EventWriter } from "../../../src/core/dialect.ts";
import { EventBuilder, type Extras, finishedEvent, type GenerateEvent, startedEvent } from "../../../src/core/event.ts";
import { Fold } from "../../../src/core/fold.ts";
import { SseReader } from "../../../src/core/sse.ts";

export type Framing = "sse" | "array";
export const facts = { generationId: "gen1", created: 1 };
const codec = createGeminiCodec();

export interface SignatureInit {
  readonly value: string;
  readonly format: string;
  readonly provider?: string;
}

export type Step =
  | { readonly kind: "text" | "reasoning" | "refusal"; readonly pieces: readonly string[]; readonly signature?: SignatureInit | undefined }
  | {
      readonly kind: "call";
      readonly id: string;
      readonly name: string;
      readonly pieces: readonly string[];
      readonly signature?: SignatureInit | undefined;
    };

export interface CandidateInit {
  readonly steps: readonly Step[];
  readonly reason?: FinishReason;
  readonly rawReason?: string;
  readonly extras?: Extras;
}

export function asked(framing: Framing = "sse"): DialectRequest {
  return { generate: create(GenerateRequestSchema, { model: "asked" }), stream: true, includeUsage: true, rendering: framing };
}

export function writerOf(framing: Framing = "sse"): EventWriter {
  return geminiDialect.eventWriter(asked(framing), facts);
}

/** The events of an answer, as any upstream's reader makes them. */
export function eventsOf(...candidates: readonly CandidateInit[]): GenerateEvent[] {
  const builder = new EventBuilder();
  builder.push(startedEvent({ upstreamId: "up1", servedModel: "served" }));
  candidates.forEach(({ steps, reason = FinishReason.STOP, rawReason = "", extras }, candidate) => {
    for (const step of steps) addStep(builder, candidate, step);
    builder.push(finishedEvent({ candidate, reason, rawReason }, extras));
  });
  return builder.take();
}

const kinds = { text: BlockKind.TEXT, reasoning: BlockKind.REASONING, refusal: BlockKind.REFUSAL, call: BlockKind.TOOL_CALL };

function addStep(builder: EventBuilder, candidate: number, step: Step): void {
  const call =
    step.kind === "call" ? { id: step.id, name: step.name, kind: ToolKind.FUNCTION, argumentsJson: "", inputText: "" } : undefined;
  const index = builder.startBlock(candidate, kinds[step.kind], call ? { toolCall: { $typeName: "dragoman.v1.ToolCall", ...call } } : {});
  for (const piece of step.pieces) {
    if (step.kind === "call") builder.argumentsJson(candidate, index, piece);
    else builder.text(candidate, index, piece);
  }
  const { signature } = step;
  builder.endBlock(candidate, index, {
    ...(signature && { signature: { $typeName: "dragoman.v1.Signature", provider: "", ...signature } }),
    redacted: step.kind === "reasoning" && step.pieces.length === 0,
  });
}

/** The text of the stream; each batch is one write. */
export function writeStream(batches: readonly (readonly GenerateEvent[])[], framing: Framing = "sse"): string {
  const writer = writerOf(framing);
  return batches.map((events) => writer.write({ events })).join("") + writer.end();
}

export function writeWhole(events: readonly GenerateEvent[]): string {
  return geminiDialect.writeResponse(new Fold().addAll(events).response(), facts, asked());
}

export interface WireChunk {
  readonly candidates?: {
    readonly content: { readonly parts: Record<string, unknown>[]; readonly role: string };
    readonly finishReason?: string;
    readonly index: number;
    readonly [name: string]: unknown;
  }[];
  readonly [name: string]: unknown;
}

/** The records of a stream of events. */
export function chunksOf(stream: string): WireChunk[] {
  return new SseReader().read(Buffer.from(stream)).map(({ data }) => JSON.parse(data) as WireChunk);
}

/** All parts of the first candidate, the empty text of the last chunk left out. */
export function partsOf(chunks: readonly WireChunk[]): Record<string, unknown>[] {
  return chunks.flatMap(({ candidates }) => candidates?.[0]?.content.parts ?? []).filter((part) => JSON.stringify(part) !== '{"text":""}');
}

/** As an upstream of this API would be read. */
export function readStream(stream: string): CompleteResponse {
  const reader = codec.eventReader("google");
  const events = new SseReader().read(Buffer.from(stream)).flatMap((frame) => reader.read(frame));
  return new Fold().addAll([...events, ...reader.end()]).response();
}

export function readWhole(reply: string): CompleteResponse {
  return new Fold().addAll(codec.readResponse(reply, "google")).response();
}

export function plain(response: CompleteResponse): unknown {
  return toJson(CompleteResponseSchema, response);
}
