/**
 * Folds the events of a generation into the answer they add up to. The only place that knows how content adds up:
 * unary calls, logs and tests all use it.
 */
import { create } from "@bufbuild/protobuf";
import {
  type BlockDelta,
  type BlockEnded,
  BlockKind,
  type BlockStarted,
  type Candidate,
  type CompleteResponse,
  MediaSchema,
  type Part,
  ReasoningPartSchema,
  Role,
  ToolCallSchema,
} from "../../gen/dragoman/v1/generate_pb.ts";
import type { Extras, GenerateEvent } from "./event.ts";
import { newMessage, newPart } from "./new-message.ts";

/** Text and bytes of a growing block are kept in pieces and joined once, at its end. */
interface OpenBlock {
  readonly kind: BlockKind;
  readonly part: Part;
  readonly started: BlockStarted;
  readonly text: string[];
  readonly args: string[];
  readonly summaries: string[][];
  readonly data: Uint8Array[];
  readonly transcript: string[];
}

export class Fold {
  readonly #response: CompleteResponse = { $typeName: "dragoman.v1.CompleteResponse", candidates: [], opaque: [], extrasJson: {} };
  readonly #candidates = new Map<number, { candidate: Candidate; blocks: Map<number, OpenBlock> }>();

  add(event: GenerateEvent): void {
    const { case: kind, value } = event.event;
    switch (kind) {
      case "started":
        this.#response.started = value;
        this.#keepExtras(this.#response.extrasJson, event.extrasJson);
        break;
      case "blockStarted":
        this.#start(value, event.extrasJson);
        break;
      case "blockDelta":
        this.#grow(value);
        break;
      case "blockEnded":
        this.#end(value, event.extrasJson);
        break;
      case "usage":
        this.#response.usage = value;
        this.#keepExtras(this.#response.extrasJson, event.extrasJson);
        break;
      case "finished": {
        const { candidate } = this.#candidate(value.candidate);
        candidate.finished = value;
        this.#keepExtras(candidate.extrasJson, event.extrasJson);
        break;
      }
      case "settled":
        this.#response.settled = value;
        this.#keepExtras(this.#response.extrasJson, event.extrasJson);
        break;
      case "opaque":
        this.#response.opaque.push(value);
        break;
      default:
        break; // a newer event: ignored, as the contract asks
    }
  }

  addAll(events: Iterable<GenerateEvent>): this {
    for (const event of events) this.add(event);
    return this;
  }

  /** The answer so far; call it once, at the end. Blocks that never ended are closed as they are. */
  response(): CompleteResponse {
    const indexes = [...this.#candidates.keys()].sort((left, right) => left - right);
    for (const index of indexes) {
      const entry = this.#candidate(index);
      for (const block of entry.blocks.values()) settleBlock(block);
      this.#response.candidates.push(entry.candidate);
    }
    this.#candidates.clear();
    return this.#response;
  }

  #candidate(index: number): { candidate: Candidate; blocks: Map<number, OpenBlock> } {
    let entry = this.#candidates.get(index);
    if (entry === undefined) {
      const message = newMessage(Role.ASSISTANT);
      entry = { candidate: { $typeName: "dragoman.v1.Candidate", index, message, extrasJson: {} }, blocks: new Map() };
      this.#candidates.set(index, entry);
    }
    return entry;
  }

  #start(started: BlockStarted, extras: Extras): void {
    const { candidate, blocks } = this.#candidate(started.candidate);
    const part = newPart({ case: undefined });
    part.id = started.id;
    this.#keepExtras(part.extrasJson, extras);
    // Parts stand in the order of block_started, whatever ends first.
    candidate.message?.parts.push(part);
    blocks.set(started.index, { kind: started.kind, part, started, text: [], args: [], summaries: [], data: [], transcript: [] });
  }

  #grow(delta: BlockDelta): void {
    const block = this.#candidates.get(delta.candidate)?.blocks.get(delta.index);
    if (block === undefined) return;
    switch (delta.delta.case) {
      case "text":
        block.text.push(delta.delta.value);
        break;
      case "argumentsJson":
        block.args.push(delta.delta.value);
        break;
      case "summary": {
        const section = (block.summaries[delta.section] ??= []);
        section.push(delta.delta.value);
        break;
      }
      case "data":
        block.data.push(delta.delta.value);
        break;
      case "transcript":
        block.transcript.push(delta.delta.value);
        break;
      default:
        break; // opaque_json: block_ended holds the whole
    }
    if (delta.annotations.length > 0) block.part.annotations.push(...delta.annotations);
    if (delta.logprobs.length > 0) block.part.logprobs.push(...delta.logprobs);
  }

  #end(ended: BlockEnded, extras: Extras): void {
    const blocks = this.#candidates.get(ended.candidate)?.blocks;
    const block = blocks?.get(ended.index);
    if (blocks === undefined || block === undefined) return;
    blocks.delete(ended.index);
    if (ended.signature !== undefined) block.part.signature = ended.signature;
    this.#keepExtras(block.part.extrasJson, extras);
    settleBlock(block, ended);
  }

  #keepExtras(target: Extras, extras: Extras): void {
    for (const format of Object.keys(extras)) target[format] = extras[format] as string;
  }
}

/** Puts the joined pieces into the block's part. */
function settleBlock({ kind, part, started, text, args, summaries, data, transcript }: OpenBlock, ended?: BlockEnded): void {
  const joined = text.join("");
  switch (kind) {
    case BlockKind.TEXT:
      part.part = { case: "text", value: joined };
      break;
    case BlockKind.REFUSAL:
      part.part = { case: "refusal", value: joined };
      break;
    case BlockKind.REASONING:
      part.part = {
        case: "reasoning",
        value: create(ReasoningPartSchema, {
          text: joined,
          summaries: Array.from(summaries, (pieces) => pieces?.join("") ?? ""),
          redacted: ended?.redacted ?? false,
        }),
      };
      break;
    case BlockKind.TOOL_CALL:
      part.part = {
        case: "toolCall",
        value: create(ToolCallSchema, {
          id: started.toolCall?.id ?? "",
          name: started.toolCall?.name ?? "",
          kind: started.toolCall?.kind ?? 0,
          argumentsJson: args.join(""),
          inputText: joined,
        }),
      };
      break;
    case BlockKind.AUDIO:
    case BlockKind.IMAGE:
    case BlockKind.VIDEO:
    case BlockKind.FILE: {
      const media = ended?.media ?? create(MediaSchema, { source: { case: "data", value: Buffer.concat(data) } });
      if (media.mimeType === "") media.mimeType = started.mimeType;
      if (transcript.length > 0) media.transcript = transcript.join("");
      part.part = { case: mediaCases[kind as keyof typeof mediaCases], value: media };
      break;
    }
    default: {
      const opaque = ended?.opaque ?? started.opaque;
      if (opaque !== undefined) part.part = { case: "opaque", value: opaque };
    }
  }
}

const mediaCases = {
  [BlockKind.AUDIO]: "audio",
  [BlockKind.IMAGE]: "image",
  [BlockKind.VIDEO]: "video",
  [BlockKind.FILE]: "file",
} as const;
