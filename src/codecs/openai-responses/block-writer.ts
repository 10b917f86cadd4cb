/**
 * Blocks to the records of output items. Items may overlap, since each has its own output index; neighbouring text and refusal
 * are the content of one message.
 */
import type { BlockDelta, BlockEnded, BlockStarted, TokenLogprob } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { Extras } from "../../core/event.ts";
import { isJsonObject, parseJson, upstreamJsonLimits, type WritableObject } from "../../core/json.ts";
import { writeLogprobs } from "../../core/openai-logprobs.ts";
import { codePoints, writeAnnotation } from "./annotations.ts";
import { type Content, type OutputItem, type OutputItems, writeContent, writeItem, writeNewItem } from "./output-items.ts";
import { type DeltaShape, deltaShape, type RecordWriter } from "./record-writer.ts";
import { format } from "./wire.ts";

interface Block {
  readonly item: OutputItem;
  /** Of messages. */
  readonly content: Content | undefined;
  readonly contentIndex: number;
  /** Reasoning: number of the open summary, -1 for none. */
  section: number;
  /** Reasoning: whether its text is shown as a summary; undefined before the first delta. */
  isSummarized: boolean | undefined;
  /** Of the deltas that were written last. */
  shape: DeltaShape | undefined;
  /** Bytes of an image. */
  readonly bytes: Uint8Array[];
}

/** Types of the records that hold deltas. */
const deltaTypes = {
  text: "response.output_text.delta",
  refusal: "response.refusal.delta",
  reasoning: "response.reasoning_text.delta",
  summary: "response.reasoning_summary_text.delta",
  arguments: "response.function_call_arguments.delta",
  input: "response.custom_tool_call_input.delta",
} as const;

export interface BlockWriterOptions {
  readonly records: RecordWriter;
  readonly items: OutputItems;
  /** Whether reasoning is shown as its summary. */
  readonly summarizes: boolean;
  /** Writes the start of the answer, unless that was done. */
  readonly startAnswer: () => void;
}

/** Blocks of the answer's one candidate; those that have no form for this client are passed over. */
export class BlockWriter {
  readonly #records: RecordWriter;
  readonly #items: OutputItems;
  readonly #summarizes: boolean;
  readonly #startAnswer: () => void;
  readonly #blocks = new Map<number, Block>();
  /** Items that are complete but may yet turn out to be cut: they are done when something else begins, or nothing more. */
  #waiting: OutputItem[] = [];
  /** A reasoning block that has shown nothing yet: whether it is hidden decides about its id. */
  #unshown: Block | undefined;

  constructor({ records, items, summarizes, startAnswer }: BlockWriterOptions) {
    this.#records = records;
    this.#items = items;
    this.#summarizes = summarizes;
    this.#startAnswer = startAnswer;
  }

  /** The answer broke off: what is open stays incomplete. */
  abandon(): void {
    for (const { item } of this.#blocks.values()) item.isIncomplete = true;
  }

  start(started: BlockStarted, extras: Extras): void {
    this.#records.flush();
    this.#startAnswer();
    this.#show();
    const { kind, id, toolCall, opaque } = started;
    const opened = this.#items.open({ kind, id, toolCall, opaque, extras: extras[format] });
    if (opened === undefined) return;
    const { item, isNew } = opened;
    const contentIndex = item.contents.length - 1;
    const block: Block = {
      item,
      content: item.contents[contentIndex],
      contentIndex,
      section: -1,
      isSummarized: undefined,
      shape: undefined,
      bytes: [],
    };
    this.#blocks.set(started.index, block);
    if (isNew) {
      this.#doneWaiting();
      // A hidden reasoning and an image are known when they are complete.
      if (item.type === "reasoning") this.#unshown = block;
      else if (item.type !== "image_generation_call") this.#added(item);
    } else this.#waiting = this.#waiting.filter((waiting) => waiting !== item);
    if (block.content !== undefined) {
      const part = writeContent({ ...block.content, text: "" });
      this.#records.write("response.content_part.added", { ...this.#place(block), content_index: contentIndex, part });
    }
  }

  #added(item: OutputItem): void {
    this.#records.write("response.output_item.added", { output_index: item.index, item: writeNewItem(item) });
  }

  /** A reasoning item that shows something, or is followed by something, is not hidden. */
  #show(): void {
    if (this.#unshown === undefined) return;
    const { item } = this.#unshown;
    this.#unshown = undefined;
    this.#added(item);
  }

  grow({ index, delta, annotations, logprobs, section }: BlockDelta): void {
    const block = this.#blocks.get(index);
    if (block === undefined) return;
    const { item, content } = block;
    switch (delta.case) {
      case "text":
        if (item.type === "reasoning") this.#reasoningText(block, delta.value);
        else if (content !== undefined) this.#contentText(block, content, delta.value, logprobs);
        else this.#growText(block, item.type === "custom_tool_call" ? deltaTypes.input : deltaTypes.arguments, delta.value);
        break;
      case "argumentsJson":
        this.#growText(block, deltaTypes.arguments, delta.value);
        break;
      case "summary":
        if (item.type === "reasoning") this.#summary(block, section + (block.isSummarized ? 1 : 0), delta.value);
        break;
      case "data":
        block.bytes.push(delta.value);
        break;
      case "opaqueJson":
        this.writeRaw(delta.value, item);
        break;
      default:
        break;
    }
    for (const annotation of content === undefined ? [] : annotations) {
      const written = writeAnnotation(annotation, codePoints(content?.text ?? ""));
      if (written === undefined || content === undefined) continue;
      const place = { ...this.#place(block), content_index: block.contentIndex, annotation_index: content.annotations.length };
      content.annotations.push(written);
      this.#records.write("response.output_text.annotation.added", { ...place, annotation: written });
    }
  }

  #contentText(block: Block, content: Content, text: string, logprobs: readonly TokenLogprob[]): void {
    content.text += text;
    if (logprobs.length === 0) {
      this.#append(block, content.isRefusal ? deltaTypes.refusal : deltaTypes.text, text);
      return;
    }
    const written = writeLogprobs(logprobs);
    content.logprobs.push(...written);
    this.#records.write(deltaTypes.text, { ...this.#place(block), content_index: block.contentIndex, delta: text, logprobs: written });
  }

  #reasoningText(block: Block, text: string): void {
    if (text === "") return;
    this.#show();
    block.isSummarized ??= this.#summarizes;
    if (block.isSummarized) {
      this.#summary(block, 0, text);
      return;
    }
    const { item } = block;
    if (!item.hasText) {
      item.hasText = true;
      const part = { type: "reasoning_text", text: "" };
      this.#records.write("response.content_part.added", { ...this.#place(block), content_index: 0, part });
    }
    item.text += text;
    this.#append(block, deltaTypes.reasoning, text);
  }

  #summary(block: Block, section: number, text: string): void {
    this.#show();
    block.isSummarized ??= false;
    const { item } = block;
    if (section !== block.section) {
      this.#endSummary(block);
      block.section = section;
      block.shape = undefined;
      while (item.summaries.length <= section) item.summaries.push("");
      const part = { type: "summary_text", text: "" };
      this.#records.write("response.reasoning_summary_part.added", { ...this.#place(block), summary_index: section, part });
    }
    item.summaries[section] += text;
    this.#append(block, deltaTypes.summary, text);
  }

  #endSummary(block: Block): void {
    if (block.section === -1) return;
    const text = block.item.summaries[block.section] ?? "";
    const place = { ...this.#place(block), summary_index: block.section };
    this.#records.write("response.reasoning_summary_text.done", { ...place, text });
    this.#records.write("response.reasoning_summary_part.done", { ...place, part: { type: "summary_text", text } });
  }

  /** Arguments, or the input of a tool with free text. */
  #growText(block: Block, type: string, text: string): void {
    block.item.text += text;
    this.#append(block, type, text);
  }

  #append(block: Block, type: string, text: string): void {
    if (block.shape?.type !== type) block.shape = shapeOf(block, type);
    this.#records.append(block.shape, text);
  }

  end(ended: BlockEnded): void {
    const block = this.#blocks.get(ended.index);
    if (block === undefined) return;
    this.#records.flush();
    this.#blocks.delete(ended.index);
    const { item } = block;
    if (ended.incomplete) item.isIncomplete = true;
    switch (item.type) {
      case "message":
        this.#endContent(block);
        // Another block of the same message may still be open.
        if ([...this.#blocks.values()].some((other) => other.item === item)) return;
        break;
      case "reasoning":
        this.#endReasoning(block, ended);
        break;
      case "function_call":
        // A call without arguments still needs JSON for the client to parse.
        if (item.text === "" && !ended.incomplete) this.#growText(block, deltaTypes.arguments, "{}");
        this.#records.write("response.function_call_arguments.done", {
          ...this.#place(block),
          name: item.call?.name ?? "",
          arguments: item.text,
        });
        break;
      case "custom_tool_call":
        this.#records.write("response.custom_tool_call_input.done", { ...this.#place(block), input: item.text });
        break;
      case "image_generation_call":
        item.image = Buffer.concat(ended.media?.source.case === "data" ? [ended.media.source.value] : block.bytes).toString("base64");
        this.#added(item);
        break;
      default:
        if (ended.opaque !== undefined) item.opaque = ended.opaque;
    }
    this.#waiting.push(item);
  }

  #endContent(block: Block): void {
    const { content, contentIndex } = block;
    if (content === undefined) return;
    const place = { ...this.#place(block), content_index: contentIndex };
    if (content.isRefusal) this.#records.write("response.refusal.done", { ...place, refusal: content.text });
    else this.#records.write("response.output_text.done", { ...place, text: content.text, logprobs: [...content.logprobs] });
    this.#records.write("response.content_part.done", { ...place, part: writeContent(content) });
  }

  #endReasoning(block: Block, { signature, redacted }: BlockEnded): void {
    const { item } = block;
    item.signature = signature;
    if (redacted && this.#unshown === block) this.#items.markRedacted(item);
    this.#show();
    this.#endSummary(block);
    if (!item.hasText) return;
    const place = { ...this.#place(block), content_index: 0 };
    this.#records.write("response.reasoning_text.done", { ...place, text: item.text });
    this.#records.write("response.content_part.done", { ...place, part: { type: "reasoning_text", text: item.text } });
  }

  #doneWaiting(): void {
    for (const item of this.#waiting) this.#records.write("response.output_item.done", { output_index: item.index, item: writeItem(item) });
    this.#waiting = [];
  }

  /** Nothing more comes. `isCut`: a limit ended the answer, which leaves the last item incomplete. */
  endItems(isCut: boolean): void {
    const last = this.#items.all.at(-1);
    if (isCut && last !== undefined && this.#waiting.includes(last)) last.isIncomplete = true;
    this.#doneWaiting();
  }

  /** A record of this format that is not modelled, with the numbers of this stream. */
  writeRaw(dataJson: string, item?: OutputItem): void {
    const data = parseJson(dataJson, upstreamJsonLimits);
    if (!isJsonObject(data) || typeof data.type !== "string") return;
    this.#startAnswer();
    const { type, sequence_number: _number, ...rest } = data;
    const place = item === undefined ? {} : { output_index: item.index };
    this.#records.write(type, { ...(rest as WritableObject), ...place });
  }

  #place({ item }: Block): { item_id: string; output_index: number } {
    return { item_id: item.id, output_index: item.index };
  }
}

/** What a delta of such a type says beside its text. */
function shapeOf({ item, contentIndex, section }: Block, type: string): DeltaShape {
  const place = `,"item_id":${JSON.stringify(item.id)},"output_index":${item.index}`;
  if (type === deltaTypes.summary) return deltaShape(type, `${place},"summary_index":${section}`);
  if (type === deltaTypes.reasoning) return deltaShape(type, `${place},"content_index":0`);
  if (type === deltaTypes.text) return deltaShape(type, `${place},"content_index":${contentIndex},"logprobs":[]`);
  return deltaShape(type, type === deltaTypes.refusal ? `${place},"content_index":${contentIndex}` : place);
}
