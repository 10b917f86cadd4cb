/**
 * The output items that an answer's blocks become: neighbouring text and refusal are the content of one message; reasoning,
 * calls and everything else are items of their own. Streamed and whole answers both write these.
 */
import { BlockKind, type OpaquePart, type Signature, type ToolCall, ToolKind } from "../../../gen/dragoman/v1/generate_pb.ts";
import {
  isJsonObject,
  mergeExtras,
  parseJson,
  RawJson,
  upstreamJsonLimits,
  type Writable,
  type WritableObject,
  writeJson,
} from "../../core/json.ts";
import { format, idOfType, idPrefix, itemExtras } from "./wire.ts";

export type ItemType = "message" | "reasoning" | "function_call" | "custom_tool_call" | "image_generation_call" | "opaque";

/** A content part of a message. */
export interface Content {
  readonly isRefusal: boolean;
  text: string;
  readonly annotations: WritableObject[];
  readonly logprobs: WritableObject[];
  /** JSON text of unknown fields. */
  readonly extras: string | undefined;
}

export interface OutputItem {
  readonly type: ItemType;
  readonly index: number;
  id: string;
  /** The provider's, to tell neighbouring messages apart. */
  readonly upstreamId: string;
  /** JSON text of unknown fields of the item. */
  extras: string | undefined;
  readonly contents: Content[];
  readonly call: ToolCall | undefined;
  /** Reasoning text, arguments or input. */
  text: string;
  /** Whether there is any reasoning text: an empty one is not the same as none. */
  hasText: boolean;
  readonly summaries: string[];
  signature: Signature | undefined;
  image: string;
  opaque: OpaquePart | undefined;
  isIncomplete: boolean;
}

/** A block as it begins. */
export interface Opening {
  readonly kind: BlockKind;
  /** The provider's id. */
  readonly id: string;
  readonly toolCall?: ToolCall | undefined;
  readonly opaque?: OpaquePart | undefined;
  /** JSON text of the block's unknown fields. */
  readonly extras?: string | undefined;
}

export interface ItemIds {
  /** Made ids end in this and the item's index. */
  readonly generationId: string;
  /** Whether ids of the provider are kept. */
  readonly keeps: boolean;
}

export class OutputItems {
  readonly all: OutputItem[] = [];
  readonly #ids: ItemIds;

  constructor(ids: ItemIds) {
    this.#ids = ids;
  }

  /** The item that a block belongs to, and whether it is new; undefined for blocks without a form here. */
  open(opening: Opening): { readonly item: OutputItem; readonly isNew: boolean } | undefined {
    const type = itemType(opening);
    if (type === undefined) return undefined;
    const last = this.all.at(-1);
    if (type !== "message") return { item: this.#add(type, opening, opening.extras), isNew: true };
    const { own, item: ofItem } = splitExtras(opening.extras);
    const content = { isRefusal: opening.kind === BlockKind.REFUSAL, text: "", annotations: [], logprobs: [], extras: own };
    const isNew = last?.type !== "message" || last.upstreamId !== opening.id;
    const item = isNew ? this.#add(type, opening, ofItem) : last;
    item.contents.push(content);
    return { item, isNew };
  }

  #add(type: ItemType, { id, toolCall, opaque }: Opening, extras: string | undefined): OutputItem {
    const index = this.all.length;
    const kept = this.#ids.keeps ? idOfType(type, id) : "";
    const item: OutputItem = {
      type,
      index,
      id: kept === "" ? `${idPrefix(type)}${this.#ids.generationId}_${index}` : kept,
      upstreamId: id,
      extras,
      contents: [],
      call: toolCall,
      text: "",
      hasText: false,
      summaries: [],
      signature: undefined,
      image: "",
      opaque,
      isIncomplete: false,
    };
    this.all.push(item);
    return item;
  }

  /** Call it before the item is written: a made id says that there is only ciphertext. */
  markRedacted(item: OutputItem): void {
    if (item.id === `${idPrefix(item.type)}${this.#ids.generationId}_${item.index}`) item.id += "r";
  }
}

function itemType({ kind, toolCall, opaque }: Opening): ItemType | undefined {
  switch (kind) {
    case BlockKind.TEXT:
    case BlockKind.REFUSAL:
      return "message";
    case BlockKind.REASONING:
      return "reasoning";
    case BlockKind.TOOL_CALL:
      return toolCall?.kind === ToolKind.CUSTOM ? "custom_tool_call" : "function_call";
    case BlockKind.IMAGE:
      return "image_generation_call";
    case BlockKind.OPAQUE:
      return opaque?.format === format ? "opaque" : undefined;
    default:
      return undefined; // sound, files and videos are nothing that a client of this dialect can ask for
  }
}

/** Fields of a content part, and those of the message item that it came in. */
function splitExtras(extras: string | undefined): { own: string | undefined; item: string | undefined } {
  if (extras === undefined || !extras.includes(`"${itemExtras}"`)) return { own: extras, item: undefined };
  const parsed = parseJson(extras, upstreamJsonLimits);
  if (!isJsonObject(parsed) || !isJsonObject(parsed[itemExtras])) return { own: extras, item: undefined };
  const { [itemExtras]: item, ...own } = parsed;
  return { own: Object.keys(own).length === 0 ? undefined : writeJson(own as Writable), item: writeJson(item as Writable) };
}

/** The item as it begins: without content. */
export function writeNewItem(item: OutputItem): Writable {
  if (item.type === "opaque") return new RawJson(item.opaque?.dataJson ?? "{}");
  return write({ ...item, contents: [], text: "", summaries: [], hasText: false, signature: undefined }, "in_progress");
}

export function writeItem(item: OutputItem): Writable {
  if (item.type === "opaque") return new RawJson(item.opaque?.dataJson ?? "{}");
  return write(item, item.isIncomplete ? "incomplete" : "completed");
}

function write(item: OutputItem, status: string): WritableObject {
  const { id, type } = item;
  let written: WritableObject;
  switch (type) {
    case "message":
      written = { id, type, status, role: "assistant", content: item.contents.map(writeContent) };
      break;
    case "reasoning":
      written = { id, type, summary: item.summaries.map((text) => ({ type: "summary_text", text })) };
      if (item.hasText) written.content = [{ type: "reasoning_text", text: item.text }];
      if (item.signature !== undefined) written.encrypted_content = item.signature.value;
      break;
    case "function_call":
      written = { id, type, status, call_id: item.call?.id ?? "", name: item.call?.name ?? "", arguments: item.text };
      break;
    case "custom_tool_call":
      written = { id, type, call_id: item.call?.id ?? "", name: item.call?.name ?? "", input: item.text };
      break;
    default:
      written = { id, type, status: status === "incomplete" ? "failed" : status, result: item.image === "" ? null : item.image };
  }
  mergeExtras(written, item.extras);
  return written;
}

export function writeContent({ isRefusal, text, annotations, logprobs, extras }: Content): WritableObject {
  const written: WritableObject = isRefusal
    ? { type: "refusal", refusal: text }
    : { type: "output_text", text, annotations: [...annotations], logprobs: [...logprobs] };
  mergeExtras(written, extras);
  return written;
}
