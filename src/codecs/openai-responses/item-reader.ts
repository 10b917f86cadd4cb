/** One output item: its records, or the whole of it, become blocks. What was streamed is not read again from the end. */
import { BlockKind, type Signature, ToolKind } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { EventBuilder } from "../../core/event.ts";
import { ulid } from "../../core/id.ts";
import { isJsonObject, type JsonObject, type JsonValue, jsonText, type Writable, type WritableObject, writeJson } from "../../core/json.ts";
import { readLogprobs } from "../../core/openai-logprobs.ts";
import { readAnnotation } from "./annotations.ts";
import type { CallState } from "./call-state.ts";
import { type CutPiece, StopCutter } from "./stop-cutter.ts";
import { format, itemExtras, signatureFamily } from "./wire.ts";

export interface ItemFacts {
  readonly builder: EventBuilder;
  /** Configured name: it marks signatures. */
  readonly provider: string;
  readonly state: CallState | undefined;
}

/** The one candidate that there is. */
const candidate = 0;

interface TextBlock {
  readonly index: number;
  readonly isRefusal: boolean;
  readonly cutter: StopCutter | undefined;
  hasText: boolean;
  annotations: number;
  isOpen: boolean;
}

export class ItemReader {
  readonly #facts: ItemFacts;
  readonly #type: string;
  readonly #id: string;
  /** A call that stands for a text: its arguments are the answer. */
  readonly #isAnswer: boolean;
  /** Of messages, by content index. */
  readonly #texts = new Map<number, TextBlock>();
  /** Unknown fields of a message item. */
  readonly #unknown: WritableObject;
  /** Of everything else. */
  #block = -1;
  #hasContent = false;
  readonly #summaries = new Set<number>();
  #isDone = false;
  /** Whether a refusal in words was read. */
  hasRefusal = false;
  /** The stop text at which the answer was cut. */
  stop: string | undefined;

  /** `item` as it began, or the whole of it. */
  constructor(item: JsonObject, facts: ItemFacts) {
    this.#facts = facts;
    this.#type = typeof item.type === "string" ? item.type : "";
    this.#isAnswer = this.#type === "function_call" && facts.state?.schemaTool === textOf(item.name) && facts.state.schemaTool !== "";
    this.#id = this.#isAnswer ? "" : textOf(item.id);
    this.#unknown = this.#type === "message" ? unknownMembers(item, messageKnown) : {};
    this.#open(item);
  }

  get isCall(): boolean {
    return !this.#isAnswer && (this.#type === "function_call" || this.#type === "custom_tool_call");
  }

  get id(): string {
    return this.#id;
  }

  /** A record about the item; false where it means nothing for items of this type. */
  read(type: string, record: JsonObject): boolean {
    switch (type) {
      case "response.content_part.added":
        if (this.#type === "message" && isJsonObject(record.part)) this.#textBlock(indexOf(record), record.part);
        return this.#type === "message" || this.#type === "reasoning";
      case "response.output_text.delta":
        this.#say(this.#textBlock(indexOf(record), outputText), textOf(record.delta), record.logprobs);
        return true;
      case "response.refusal.delta":
        this.#say(this.#textBlock(indexOf(record), refusalPart), textOf(record.delta), undefined);
        return true;
      case "response.output_text.annotation.added":
        this.#annotate(this.#textBlock(indexOf(record), outputText), record.annotation);
        return true;
      case "response.output_text.done":
        this.#complete(this.#textBlock(indexOf(record), outputText), textOf(record.text), record.logprobs);
        return true;
      case "response.refusal.done":
        this.#complete(this.#textBlock(indexOf(record), refusalPart), textOf(record.refusal), undefined);
        return true;
      case "response.content_part.done":
        if (this.#type === "message" && isJsonObject(record.part)) this.#endPart(indexOf(record), record.part);
        return this.#type === "message" || this.#type === "reasoning";
      case "response.reasoning_summary_text.delta":
        this.#summarize(indexOf(record, "summary_index"), textOf(record.delta));
        return true;
      case "response.reasoning_text.delta":
        this.#grow(textOf(record.delta));
        return true;
      case "response.function_call_arguments.delta":
      case "response.custom_tool_call_input.delta":
        this.#grow(textOf(record.delta));
        return true;
      case "response.function_call_arguments.done":
        if (!this.#hasContent) this.#grow(textOf(record.arguments));
        return true;
      case "response.custom_tool_call_input.done":
        if (!this.#hasContent) this.#grow(textOf(record.input));
        return true;
      case "response.reasoning_summary_part.added":
      case "response.reasoning_summary_part.done":
      case "response.reasoning_summary_text.done":
      case "response.reasoning_text.done":
        return true;
      case "response.output_item.done":
        if (isJsonObject(record.item)) this.end(record.item);
        return true;
      default:
        if (this.#kind !== BlockKind.OPAQUE || this.#isDone) return false;
        this.#facts.builder.delta(candidate, this.#block, { case: "opaqueJson", value: jsonText(record) });
        return true;
    }
  }

  /** The whole item: what was not streamed is read from it, and its blocks end. An empty object where nothing is known of it. */
  end(item: JsonObject): void {
    if (this.#isDone || this.stop !== undefined) return;
    this.#isDone = true;
    const incomplete = item.status === "incomplete";
    switch (this.#type) {
      case "message":
        (Array.isArray(item.content) ? item.content : []).forEach((part, index) => {
          if (this.stop === undefined && isJsonObject(part)) this.#endPart(index, part, incomplete);
        });
        for (const block of this.#texts.values()) this.#endText(block, {}, incomplete);
        break;
      case "reasoning":
        this.#endReasoning(item, incomplete);
        break;
      case "function_call":
      case "custom_tool_call": {
        if (!this.#hasContent) this.#grow(this.#type === "function_call" ? argumentText(item.arguments) : textOf(item.input));
        if (this.isCall) this.#endBlock({ incomplete }, unknownMembers(item, callKnown));
        else for (const block of this.#texts.values()) this.#endText(block, {}, incomplete);
        break;
      }
      default:
        this.#endBlock(Object.keys(item).length === 0 ? {} : { opaque: this.#opaque(item) }, {});
    }
  }

  #open(item: JsonObject): void {
    const { builder } = this.#facts;
    if (this.#type === "message" || this.#isAnswer) return;
    if (this.isCall) {
      const unknown = unknownMembers(item, callKnown);
      const extras = Object.keys(unknown).length === 0 ? undefined : { [format]: writeJson(unknown) };
      this.#block = builder.startBlock(candidate, BlockKind.TOOL_CALL, { id: this.#id, toolCall: this.#call(item) }, extras);
    } else if (this.#type === "reasoning") this.#block = builder.startBlock(candidate, BlockKind.REASONING, { id: this.#id });
    else this.#block = builder.startBlock(candidate, BlockKind.OPAQUE, { id: this.#id, opaque: this.#opaque(item) });
  }

  get #kind(): BlockKind {
    if (this.isCall) return BlockKind.TOOL_CALL;
    if (this.#type === "message" || this.#isAnswer) return BlockKind.TEXT;
    return this.#type === "reasoning" ? BlockKind.REASONING : BlockKind.OPAQUE;
  }

  #call(item: JsonObject) {
    const name = textOf(item.name);
    return {
      $typeName: "dragoman.v1.ToolCall",
      id: textOf(item.call_id) || this.#id || `dgm_${ulid()}`,
      name: this.#facts.state?.originalName(name) ?? name,
      argumentsJson: "",
      inputText: "",
      kind: this.#type === "custom_tool_call" ? ToolKind.CUSTOM : ToolKind.FUNCTION,
    } as const;
  }

  #opaque(item: JsonObject) {
    return { $typeName: "dragoman.v1.OpaquePart", format, type: this.#type, dataJson: jsonText(item) } as const;
  }

  #textBlock(contentIndex: number, part: JsonObject): TextBlock {
    const known = this.#texts.get(contentIndex);
    if (known !== undefined) return known;
    const isRefusal = part.type === "refusal";
    if (isRefusal) this.hasRefusal = true;
    const kind = isRefusal ? BlockKind.REFUSAL : BlockKind.TEXT;
    const extras = this.#partExtras(part, this.#texts.size === 0);
    const stops = this.#facts.state?.stops ?? [];
    const block: TextBlock = {
      index: this.#facts.builder.startBlock(candidate, kind, { id: this.#id }, extras),
      isRefusal,
      cutter: isRefusal || stops.length === 0 ? undefined : new StopCutter(stops),
      hasText: false,
      annotations: 0,
      isOpen: true,
    };
    this.#texts.set(contentIndex, block);
    return block;
  }

  /** Unknown fields of the part, and with the first one those of its item. */
  #partExtras(part: JsonObject, isFirst: boolean): Record<string, string> | undefined {
    const unknown = unknownMembers(part, partKnown);
    if (isFirst && Object.keys(this.#unknown).length > 0) unknown[itemExtras] = this.#unknown;
    return Object.keys(unknown).length === 0 ? undefined : { [format]: writeJson(unknown) };
  }

  #say(block: TextBlock, text: string, logprobs: JsonValue | undefined): void {
    if (!block.isOpen || this.stop !== undefined) return;
    const read = readLogprobs(logprobs);
    if (text === "" && read.length === 0) return;
    block.hasText = true;
    this.#pass(block, block.cutter?.read(text, read) ?? { text, logprobs: read, stop: undefined });
  }

  #pass(block: TextBlock, { text, logprobs, stop }: CutPiece): void {
    if (text !== "" || logprobs.length > 0) {
      this.#facts.builder.delta(candidate, block.index, { case: "text", value: text }, [], logprobs);
    }
    if (stop !== undefined) this.stop = stop;
  }

  #complete(block: TextBlock, text: string, logprobs: JsonValue | undefined): void {
    if (!block.hasText) this.#say(block, text, logprobs);
  }

  #annotate(block: TextBlock, value: JsonValue | undefined): void {
    const annotation = readAnnotation(value);
    if (annotation === undefined || !block.isOpen || this.stop !== undefined) return;
    block.annotations++;
    this.#facts.builder.delta(candidate, block.index, { case: "text", value: "" }, [annotation]);
  }

  #endPart(contentIndex: number, part: JsonObject, incomplete = false): void {
    if (part.type !== "output_text" && part.type !== "refusal") return;
    const block = this.#textBlock(contentIndex, part);
    this.#complete(block, textOf(part.type === "refusal" ? part.refusal : part.text), part.logprobs);
    const annotations = Array.isArray(part.annotations) ? part.annotations : [];
    for (const annotation of annotations.slice(block.annotations)) this.#annotate(block, annotation);
    this.#endText(block, part, incomplete);
  }

  #endText(block: TextBlock, part: JsonObject, incomplete: boolean): void {
    if (!block.isOpen || this.stop !== undefined) return;
    if (block.cutter !== undefined) this.#pass(block, block.cutter.end());
    block.isOpen = false;
    const isFirst = this.#texts.values().next().value === block;
    this.#facts.builder.endBlock(candidate, block.index, incomplete ? { incomplete } : {}, this.#partExtras(part, isFirst));
  }

  #summarize(section: number, text: string): void {
    if (this.#block === -1 || this.#isDone) return;
    this.#summaries.add(section);
    this.#facts.builder.delta(candidate, this.#block, { case: "summary", value: text }, [], [], section);
  }

  #grow(text: string): void {
    if (text === "" || (this.#block === -1 && !this.#isAnswer)) return;
    this.#hasContent = true;
    if (this.#isAnswer) {
      this.#say(this.#textBlock(0, outputText), text, undefined);
      return;
    }
    const isArguments = this.#type === "function_call";
    this.#facts.builder.delta(candidate, this.#block, isArguments ? { case: "argumentsJson", value: text } : { case: "text", value: text });
  }

  #endReasoning(item: JsonObject, incomplete: boolean): void {
    const summaries = Array.isArray(item.summary) ? item.summary : [];
    const { builder, provider } = this.#facts;
    summaries.forEach((summary, section) => {
      if (this.#summaries.has(section)) return;
      const value = isJsonObject(summary) ? textOf(summary.text) : "";
      builder.delta(candidate, this.#block, { case: "summary", value }, [], [], section);
    });
    const contents = Array.isArray(item.content) ? item.content : [];
    if (!this.#hasContent) for (const content of contents) if (isJsonObject(content)) this.#grow(textOf(content.text));
    const value = textOf(item.encrypted_content);
    const isHidden = summaries.length === 0 && this.#summaries.size === 0 && !this.#hasContent && contents.length === 0;
    const signature: Signature | undefined =
      value === "" ? undefined : { $typeName: "dragoman.v1.Signature", value, format: signatureFamily, provider };
    this.#endBlock(
      { ...(signature === undefined ? {} : { signature, redacted: isHidden }), incomplete },
      unknownMembers(item, reasoningKnown),
    );
  }

  #endBlock(init: Parameters<EventBuilder["endBlock"]>[2], unknown: WritableObject): void {
    const extras = Object.keys(unknown).length === 0 ? undefined : { [format]: writeJson(unknown) };
    this.#facts.builder.endBlock(candidate, this.#block, init, extras);
  }
}

const outputText: JsonObject = { type: "output_text" };
const refusalPart: JsonObject = { type: "refusal" };

const messageKnown = new Set(["id", "type", "role", "status", "content"]);
const partKnown = new Set(["type", "text", "refusal", "annotations", "logprobs"]);
const callKnown = new Set(["id", "type", "status", "call_id", "name", "arguments", "input"]);
const reasoningKnown = new Set(["id", "type", "status", "summary", "content", "encrypted_content"]);

function unknownMembers(value: JsonObject, known: ReadonlySet<string>): WritableObject {
  const unknown: WritableObject = {};
  for (const key of Object.keys(value)) if (!known.has(key) && value[key] !== null) unknown[key] = value[key] as Writable;
  return unknown;
}

function textOf(value: JsonValue | undefined): string {
  return typeof value === "string" ? value : "";
}

/** Some servers send arguments as an object instead of text. */
function argumentText(value: JsonValue | undefined): string {
  if (typeof value === "string") return value;
  return value === undefined || value === null ? "" : jsonText(value);
}

function indexOf(record: JsonObject, name = "content_index"): number {
  const index = record[name];
  return typeof index === "number" && Number.isInteger(index) && index >= 0 ? Math.min(index, maxIndex) : 0;
}

/** Folding makes a list of summaries: a wild index must not make a long one. */
const maxIndex = 1023;
