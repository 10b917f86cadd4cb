/**
 * Events to the named records of a message stream (contract.md 4). Blocks of the core may overlap, those of the wire may not:
 * the earliest open one streams, the others wait until it ends. Neighbours of one batch share a record.
 */
import {
  type BlockDelta,
  type BlockEnded,
  BlockKind,
  type BlockStarted,
  type Finished,
  type Started,
  ToolKind,
} from "../../../gen/dragoman/v1/generate_pb.ts";
import type { Usage } from "../../../gen/dragoman/v1/usage_pb.ts";
import { customToolArgument } from "../../core/custom-tool.ts";
import type { AnswerFacts, DialectRequest, EventWriter } from "../../core/dialect.ts";
import type { GatewayError } from "../../core/error.ts";
import type { EventBatch, GenerateEvent } from "../../core/event.ts";
import { mergeExtras, RawJson, type Writable, type WritableObject, writeJson } from "../../core/json.ts";
import { writeAnswerCitation } from "./citations.ts";
import { writeFinalUsage, writeUsage } from "./usage.ts";
import { formatName } from "./wire.ts";
import { completeFinish, writeFinish, writeHead } from "./write-answer.ts";
import { writeErrorRecord } from "./write-error.ts";

interface Block {
  readonly started: BlockStarted;
  /** Unknown members of the block's start. */
  readonly extras: string | undefined;
  /** What came while an earlier block was streaming. */
  readonly waiting: { readonly delta: BlockDelta; readonly extras: string | undefined }[];
  ended: BlockEnded | undefined;
  /** Its number on the wire; undefined until its start is written. */
  index: number | undefined;
  /** The record around a piece of text, argument or thinking; empty until the start is written. */
  head: string;
  hasArguments: boolean;
  /** The section of reasoning that was written last. */
  section: number | undefined;
}

/** Members of an end that stand beside `delta` in the record, not in it. */
const recordMembers = ["context_management", "input_transformations"] as const;

/** What the text of a block is called in a delta, by the block's kind. */
const deltaForms: Readonly<Record<number, { readonly type: string; readonly member: string }>> = {
  [BlockKind.TEXT]: { type: "text_delta", member: "text" },
  [BlockKind.REFUSAL]: { type: "text_delta", member: "text" },
  [BlockKind.REASONING]: { type: "thinking_delta", member: "thinking" },
  [BlockKind.TOOL_CALL]: { type: "input_json_delta", member: "partial_json" },
};

/** The writer of one stream. `facts` are used where the provider gave no id of its own. */
export function createEventWriter(request: DialectRequest, facts: AnswerFacts): EventWriter {
  return new MessageEventWriter(request, facts);
}

class MessageEventWriter implements EventWriter {
  readonly #model: string;
  readonly #facts: AnswerFacts;
  /** Blocks that have not ended, by the core's index. */
  readonly #open = new Map<number, Block>();
  /** Blocks that are not written whole, in order; the first one streams. */
  readonly #queue: Block[] = [];
  #started: Started | undefined;
  #startExtras: string | undefined;
  #isStarted = false;
  /** Whether the start of the message said what the provider counted. */
  #saidUsage = false;
  #usage: Usage | undefined;
  #finished: Finished | undefined;
  #finishExtras: string | undefined;
  #nextIndex = 0;
  /** Text that waits for its neighbours of the same batch. */
  #pendingBlock: Block | undefined;
  #pendingText = "";
  #out = "";

  constructor(request: DialectRequest, facts: AnswerFacts) {
    this.#model = request.generate.model;
    this.#facts = facts;
  }

  write({ events }: EventBatch): string {
    for (const event of events) this.#event(event);
    this.#flush();
    return this.#take();
  }

  error(error: GatewayError): string {
    return record("error", { ...writeErrorRecord(error) } as WritableObject);
  }

  /** The counts may come after the reason of the end: both are one record, which therefore waits for the end. */
  end(): string {
    this.#start();
    const delta = writeFinish(this.#finished);
    mergeExtras(delta, this.#finishExtras);
    completeFinish(delta);
    const written: WritableObject = { delta, usage: writeFinalUsage(this.#usage, !this.#saidUsage) };
    for (const name of recordMembers) {
      if (delta[name] === undefined) continue;
      written[name] = delta[name];
      delete delta[name];
    }
    this.#write("message_delta", written);
    this.#write("message_stop", {});
    return this.#take();
  }

  #take(): string {
    const out = this.#out;
    this.#out = "";
    return out;
  }

  #event(event: GenerateEvent): void {
    const { case: kind, value } = event.event;
    switch (kind) {
      case "blockDelta": {
        const block = value.candidate === 0 ? this.#open.get(value.index) : undefined;
        if (block === undefined) break;
        const extras = event.extrasJson[formatName];
        if (block === this.#queue[0]) this.#grow(block, value, extras);
        else block.waiting.push({ delta: value, extras });
        break;
      }
      case "blockStarted":
        if (value.candidate === 0 && hasForm(value)) this.#enqueue(value, event.extrasJson[formatName]);
        break;
      case "blockEnded": {
        const block = value.candidate === 0 ? this.#open.get(value.index) : undefined;
        if (block === undefined) break;
        this.#open.delete(value.index);
        block.ended = value;
        this.#advance();
        break;
      }
      case "started":
        this.#started ??= value;
        this.#startExtras ??= event.extrasJson[formatName];
        break;
      case "usage":
        this.#usage = value;
        break;
      case "finished":
        if (value.candidate !== 0 || this.#finished !== undefined) break;
        this.#finished = value;
        this.#finishExtras = event.extrasJson[formatName];
        break;
      case "settled":
        this.#usage ??= value.usage;
        break;
      case "opaque":
        if (value.format === formatName && value.type !== "") this.#writeOpaque(value.type, value.dataJson);
        break;
      default:
        break; // a newer event: ignored, as the contract asks
    }
  }

  #enqueue(started: BlockStarted, extras: string | undefined): void {
    const block: Block = {
      started,
      extras,
      waiting: [],
      ended: undefined,
      index: undefined,
      head: "",
      hasArguments: false,
      section: undefined,
    };
    this.#open.set(started.index, block);
    this.#queue.push(block);
    if (this.#queue[0] === block) this.#begin(block);
  }

  /** Writes the blocks whose turn it is. */
  #advance(): void {
    for (let first = this.#queue[0]; first?.ended !== undefined; first = this.#queue[0]) {
      this.#close(first, first.ended);
      this.#queue.shift();
      const [next] = this.#queue;
      if (next === undefined) return;
      this.#begin(next);
      for (const { delta, extras } of next.waiting) this.#grow(next, delta, extras);
      next.waiting.length = 0;
    }
  }

  /** Text and thinking start with their first piece, as only their end says whether a block without one stands for anything. */
  #begin(block: Block): void {
    const { kind, toolCall, opaque } = block.started;
    if (kind === BlockKind.TOOL_CALL) {
      this.#startBlock(block, { type: "tool_use", id: toolCall?.id ?? "", name: toolCall?.name ?? "", input: {} });
    } else if (kind === BlockKind.OPAQUE && opaque !== undefined && opaque.dataJson !== "") {
      this.#startBlock(block, new RawJson(opaque.dataJson));
    }
  }

  /** `extras`: unknown members of the piece's record. */
  #grow(block: Block, { delta, annotations, section }: BlockDelta, extras: string | undefined): void {
    if (extras !== undefined && (delta.case === "text" || delta.case === "argumentsJson")) {
      this.#growAlone(block, delta.value, extras);
      return;
    }
    switch (delta.case) {
      case "text":
        if (block.started.kind === BlockKind.TOOL_CALL) this.#growInput(block, delta.value);
        else if (block.started.kind === BlockKind.REASONING) this.#growThinking(block, delta.value, -1);
        else this.#append(block, delta.value);
        break;
      case "argumentsJson":
        this.#append(block, delta.value);
        break;
      case "summary":
        this.#growThinking(block, delta.value, section);
        break;
      case "opaqueJson":
        if (block.index !== undefined) this.#write("content_block_delta", { index: block.index, delta: new RawJson(delta.value) });
        break;
      default:
        break; // sound and pictures have no form here
    }
    if (annotations.length === 0 || block.started.kind !== BlockKind.TEXT) return;
    for (const annotation of annotations) {
      const citation = writeAnswerCitation(annotation);
      if (citation === undefined) continue;
      this.#flush();
      const index = this.#ensureStarted(block);
      this.#write("content_block_delta", { index, delta: { type: "citations_delta", citation } });
    }
  }

  /** A piece in a record of its own, with what stood beside it. */
  #growAlone(block: Block, text: string, extras: string): void {
    const form = deltaForms[block.started.kind];
    if (form === undefined) return;
    this.#flush();
    const written: WritableObject = { index: this.#ensureStarted(block), delta: { type: form.type, [form.member]: text } };
    mergeExtras(written, extras);
    this.#write("content_block_delta", written);
    block.hasArguments ||= text !== "";
  }

  /** Sections, -1 for the reasoning itself, are kept apart by an empty line. */
  #growThinking(block: Block, text: string, section: number): void {
    if (text === "") return;
    this.#append(block, block.section === undefined || block.section === section ? text : `\n\n${text}`);
    block.section = section;
  }

  /** Free text of a tool is the one member of an object. */
  #growInput(block: Block, text: string): void {
    const escaped = JSON.stringify(text).slice(1, -1);
    this.#append(block, block.hasArguments ? escaped : `{${JSON.stringify(customToolArgument)}:"${escaped}`);
  }

  #append(block: Block, text: string): void {
    if (text === "") return;
    if (this.#pendingBlock !== block) {
      this.#flush();
      this.#pendingBlock = block;
    }
    this.#pendingText += text;
    block.hasArguments = true;
  }

  #flush(): void {
    const block = this.#pendingBlock;
    if (block === undefined) return;
    const text = this.#pendingText;
    this.#pendingBlock = undefined;
    this.#pendingText = "";
    this.#ensureStarted(block);
    if (block.head !== "") this.#out += `${block.head}${JSON.stringify(text)}}}\n\n`;
  }

  #close(block: Block, ended: BlockEnded): void {
    switch (block.started.kind) {
      case BlockKind.TOOL_CALL:
        this.#closeInput(block, ended);
        break;
      case BlockKind.REASONING:
        this.#flush();
        this.#closeThinking(block, ended);
        break;
      case BlockKind.OPAQUE:
        if (block.index === undefined && ended.opaque?.format === formatName) this.#startBlock(block, new RawJson(ended.opaque.dataJson));
        break;
      default:
        break;
    }
    this.#flush();
    if (block.index !== undefined) this.#write("content_block_stop", { index: block.index });
  }

  #closeInput(block: Block, { incomplete }: BlockEnded): void {
    if (block.started.toolCall?.kind === ToolKind.CUSTOM) {
      if (!block.hasArguments) this.#growInput(block, "");
      this.#append(block, '"}');
    } else if (!block.hasArguments && !incomplete) this.#append(block, "{}");
  }

  /** Whoever signed it: the client only keeps the value, and the signature store finds its issuer again. */
  #closeThinking(block: Block, { signature, redacted }: BlockEnded): void {
    const value = signature?.value ?? "";
    if (value === "") return;
    if (block.index === undefined && redacted) {
      this.#startBlock(block, { type: "redacted_thinking", data: value });
      return;
    }
    const index = this.#ensureStarted(block);
    this.#write("content_block_delta", { index, delta: { type: "signature_delta", signature: value } });
  }

  #ensureStarted(block: Block): number {
    if (block.index !== undefined) return block.index;
    const isThinking = block.started.kind === BlockKind.REASONING;
    return this.#startBlock(block, isThinking ? { type: "thinking", thinking: "", signature: "" } : { type: "text", text: "" });
  }

  #startBlock(block: Block, content: WritableObject | RawJson): number {
    this.#start();
    const index = this.#nextIndex++;
    block.index = index;
    const form = deltaForms[block.started.kind];
    if (form !== undefined) {
      const { type, member } = form;
      const name = "content_block_delta";
      block.head = `event: ${name}\ndata: {"type":"${name}","index":${index},"delta":{"type":"${type}","${member}":`;
    }
    if (!(content instanceof RawJson)) mergeExtras(content, block.extras);
    this.#write("content_block_start", { index, content_block: content });
    return index;
  }

  #start(): void {
    if (this.#isStarted) return;
    this.#isStarted = true;
    this.#saidUsage = this.#usage !== undefined;
    const message: WritableObject = {
      ...writeHead(this.#started, this.#facts, this.#model),
      content: [],
      stop_reason: null,
      stop_sequence: null,
      stop_details: null,
      container: null,
      usage: writeUsage(this.#usage),
    };
    mergeExtras(message, this.#startExtras);
    this.#out += record("message_start", { message });
  }

  /** A record that was not modelled, in its place. */
  #writeOpaque(type: string, dataJson: string): void {
    this.#flush();
    this.#start();
    this.#out += frame(type, dataJson);
  }

  #write(type: string, members: Readonly<Record<string, Writable>>): void {
    this.#flush();
    this.#out += record(type, members);
  }
}

/** Media and blocks of other formats have no form here. */
function hasForm({ kind, opaque }: BlockStarted): boolean {
  if (kind === BlockKind.OPAQUE) return opaque === undefined || opaque.format === formatName;
  return deltaForms[kind] !== undefined;
}

function record(type: string, members: Readonly<Record<string, Writable>>): string {
  return frame(type, writeJson({ type, ...members }));
}

/** A line break in JSON text is white space, and would end the line of the record. */
function frame(type: string, data: string): string {
  return `event: ${type}\ndata: ${/[\r\n]/.test(data) ? data.replace(/[\r\n]+/g, " ") : data}\n\n`;
}
