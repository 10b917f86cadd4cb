/** One candidate of a streamed answer: its blocks as parts, and what waits for the end. */
import { create } from "@bufbuild/protobuf";
import {
  type Annotation,
  type BlockDelta,
  type BlockEnded,
  BlockKind,
  type BlockStarted,
  type Finished,
  type Part,
  PartSchema,
  type TokenLogprob,
} from "../../../gen/dragoman/v1/generate_pb.ts";
import type { Extras, GenerateEvent } from "../../core/event.ts";
import { Fold } from "../../core/fold.ts";
import { mergeExtras, type WritableObject, writeJson } from "../../core/json.ts";
import { writeSignature } from "./signatures.ts";
import { formatName } from "./wire.ts";
import { writeCandidate } from "./write-answer.ts";
import { writeAnswerPart } from "./write-answer-part.ts";
import { GroundingWriter } from "./write-grounding.ts";
import { writeLogprobs } from "./write-logprobs.ts";

/** A block whose text is written as it comes. */
interface TextBlock {
  readonly kind: "text";
  readonly isThought: boolean;
  readonly id: string;
  readonly extras: Extras;
  /** Not yet in a part; what came last begins at `last`. */
  pending: string;
  last: number;
  /** All text, for its citations; of thoughts nothing is cited. */
  readonly pieces: string[];
  readonly annotations: Annotation[];
  /** Bytes of text that readers take for the same part, before this block. */
  readonly base: number;
  /** Summary that was written last. */
  section: number;
  hasSummaries: boolean;
}

/** A block that is written whole. */
interface WholeBlock {
  readonly kind: "whole";
  readonly fold: Fold;
}

/** Sound is written as it comes, one part a piece. */
interface AudioBlock {
  readonly kind: "audio";
  readonly mimeType: string;
}

export class CandidateWriter {
  readonly #index: number;
  readonly #blocks = new Map<number, TextBlock | WholeBlock | AudioBlock>();
  readonly #grounding = new GroundingWriter();
  /** JSON text of parts that no chunk holds yet. */
  #parts: string[] = [];
  #logprobs: TokenLogprob[] = [];
  /** Bytes of the text that the last parts are, which readers join. */
  #run = 0;
  #finished: Finished | undefined;
  #extras: Extras = {};

  constructor(index: number) {
    this.#index = index;
  }

  get hasLogprobs(): boolean {
    return this.#logprobs.length > 0;
  }

  start(started: BlockStarted, extras: Extras): void {
    this.#blocks.set(started.index, this.#open(started, extras));
  }

  grow(delta: BlockDelta): void {
    const block = this.#blocks.get(delta.index);
    if (block?.kind === "text") this.#text(block, delta);
    else if (block?.kind === "whole") block.fold.add(eventOf({ case: "blockDelta", value: delta }));
    else if (block?.kind === "audio" && delta.delta.case === "data") this.#sound(block, delta.delta.value);
  }

  end(ended: BlockEnded, extras: Extras): void {
    const block = this.#blocks.get(ended.index);
    this.#blocks.delete(ended.index);
    if (block?.kind === "text") this.#endText(block, ended, extras);
    else if (block?.kind === "whole") {
      block.fold.add(eventOf({ case: "blockEnded", value: ended }, extras));
      const part = block.fold.response().candidates[0]?.message?.parts[0];
      if (part !== undefined) this.#add(writeAnswerPart(part, ended.incomplete));
    } else if (block?.kind === "audio" && (ended.media !== undefined || ended.signature !== undefined)) {
      this.#add(writeAnswerPart(create(PartSchema, soundOf(ended))));
    }
  }

  finished(finished: Finished, extras: Extras): void {
    this.#finished = finished;
    this.#extras = extras;
  }

  /**
   * JSON text of the candidate with what came since the last chunk; empty where nothing did. Of thoughts the last piece waits
   * for the block's end, because the signature stands beside it; `all` gives it too.
   */
  take(all: boolean): string {
    for (const block of this.#blocks.values()) {
      if (block.kind === "text") this.#flush(block, block.isThought && !all ? block.last : block.pending.length);
    }
    if (this.#parts.length === 0 && this.#logprobs.length === 0) return "";
    const parts = this.#parts.join(",");
    this.#parts = [];
    const content = `{"content":{"parts":[${parts}],"role":"model"},"index":${this.#index}`;
    const logprobs = writeLogprobs(this.#logprobs.splice(0));
    return logprobs === undefined ? `${content}}` : `${content},"logprobsResult":${writeJson(logprobs)}}`;
  }

  /** The candidate in the last chunk. Clients that keep histories take a chunk without any part for a failed turn. */
  finish(): WritableObject {
    const content = { parts: [{ text: "" }], role: "model" };
    return writeCandidate(content, this.#finished, this.#index, this.#grounding.metadata(), this.#extras);
  }

  #open(started: BlockStarted, extras: Extras): TextBlock | WholeBlock | AudioBlock {
    const isThought = started.kind === BlockKind.REASONING;
    if (isThought || started.kind === BlockKind.TEXT || started.kind === BlockKind.REFUSAL) {
      const { id } = started;
      const base = isThought ? 0 : this.#run;
      return {
        kind: "text",
        isThought,
        id,
        extras,
        pending: "",
        last: 0,
        pieces: [],
        annotations: [],
        base,
        section: 0,
        hasSummaries: false,
      };
    }
    if (started.kind === BlockKind.AUDIO) return { kind: "audio", mimeType: started.mimeType };
    const fold = new Fold();
    fold.add(eventOf({ case: "blockStarted", value: started }, extras));
    return { kind: "whole", fold };
  }

  #text(block: TextBlock, { delta, annotations, logprobs, section }: BlockDelta): void {
    if (annotations.length > 0) block.annotations.push(...annotations);
    if (logprobs.length > 0) this.#logprobs.push(...logprobs);
    if (delta.case !== "text" && delta.case !== "summary") return;
    if (delta.value !== "") block.last = block.pending.length;
    if (delta.case === "summary") {
      block.hasSummaries = true;
      if (section !== block.section) block.pending += "\n\n";
      block.section = section;
    }
    block.pending += delta.value;
    if (!block.isThought) block.pieces.push(delta.value);
  }

  /** Writes what is pending up to `end`. */
  #flush(block: TextBlock, end: number): void {
    if (end === 0) return;
    const text = JSON.stringify(block.pending.slice(0, end));
    this.#parts.push(`{"text":${text}${block.isThought ? ',"thought":true' : ""}}`);
    block.pending = block.pending.slice(end);
    block.last = 0;
  }

  #endText(block: TextBlock, ended: BlockEnded, extras: Extras): void {
    const signature = writeSignature(partOf(block, ended));
    const own = [block.extras[formatName], extras[formatName]].filter((text) => text !== undefined);
    if (signature === undefined && own.length === 0) this.#flush(block, block.pending.length);
    else {
      const part: WritableObject = { text: block.pending, thought: block.isThought || undefined, thoughtSignature: signature };
      for (const text of own.reverse()) mergeExtras(part, text);
      this.#parts.push(writeJson(part));
    }
    const text = block.pieces.join("");
    this.#grounding.add(block.annotations, { text, base: block.base, part: 0 });
    // Readers end a text at its signature.
    this.#run = block.isThought || signature !== undefined ? 0 : block.base + Buffer.byteLength(text);
  }

  #sound({ mimeType }: AudioBlock, data: Uint8Array): void {
    const source = { case: "data", value: data } as const;
    this.#add(writeAnswerPart(create(PartSchema, { part: { case: "audio", value: { source, mimeType } } })));
  }

  #add(part: WritableObject | undefined): void {
    if (part === undefined) return;
    this.#run = 0;
    this.#parts.push(writeJson(part));
  }
}

function eventOf(event: GenerateEvent["event"], extrasJson: Extras = {}): GenerateEvent {
  return { $typeName: "dragoman.v1.GenerateResponse", sequence: 0, event, extrasJson };
}

/** The block as a part, as far as its signature must know it. */
function partOf({ isThought, id, hasSummaries }: TextBlock, { signature, redacted }: BlockEnded): Part {
  const reasoning = { redacted, summaries: hasSummaries ? [""] : [] };
  const part = isThought ? ({ case: "reasoning", value: reasoning } as const) : ({ case: "text", value: "" } as const);
  return create(PartSchema, { id, part, ...(signature && { signature }) });
}

function soundOf({ media, signature }: BlockEnded) {
  const part = media === undefined ? ({ case: "text", value: "" } as const) : ({ case: "audio", value: media } as const);
  return { part, ...(signature && { signature }) };
}
