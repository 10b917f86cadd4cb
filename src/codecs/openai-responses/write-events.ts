/**
 * Events to the frames of a Responses stream (contract.md 4, Responses writer). Items may overlap, since each has its own
 * output index. What is constant in a block is built once; neighbouring deltas of one batch share a frame.
 */
import type { BlockDelta, BlockEnded, BlockStarted, Finished, Started } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { Usage } from "../../../gen/dragoman/v1/usage_pb.ts";
import type { AnswerFacts, DialectRequest, EventWriter } from "../../core/dialect.ts";
import type { GatewayError } from "../../core/error.ts";
import type { EventBatch, Extras, GenerateEvent } from "../../core/event.ts";
import { isJsonObject, parseJson, upstreamJsonLimits, type Writable, type WritableObject, writeJson } from "../../core/json.ts";
import { writeLogprobs } from "../../core/openai-logprobs.ts";
import { codePoints, writeAnnotation } from "./annotations.ts";
import { type AnswerContent, type AnswerHead, answerHead, incompleteReason, type Status, writeAnswer } from "./answer-object.ts";
import { type Content, type OutputItem, OutputItems, writeContent, writeItem, writeNewItem } from "./output-items.ts";
import { renderingOf } from "./rendering.ts";
import { format } from "./wire.ts";
import { responseError } from "./write-error.ts";
import { hasRefusal } from "./write-response.ts";

interface Block {
  readonly item: OutputItem;
  /** Of messages. */
  readonly content: Content | undefined;
  readonly contentIndex: number;
  /** Reasoning: number of the open summary, -1 for none. */
  section: number;
  /** Reasoning: whether its text is shown as a summary; undefined before the first delta. */
  isSummarized: boolean | undefined;
  /** Bytes of an image. */
  readonly bytes: Uint8Array[];
}

/** Events of the deltas, and whether they have a content index. */
const deltaTypes = {
  text: "response.output_text.delta",
  refusal: "response.refusal.delta",
  reasoning: "response.reasoning_text.delta",
  summary: "response.reasoning_summary_text.delta",
  arguments: "response.function_call_arguments.delta",
  input: "response.custom_tool_call_input.delta",
} as const;

/** The writer of one stream. */
export function createEventWriter(request: DialectRequest, facts: AnswerFacts): EventWriter {
  return new ResponsesEventWriter(request, facts);
}

class ResponsesEventWriter implements EventWriter {
  readonly #request: DialectRequest;
  readonly #facts: AnswerFacts;
  readonly #summarizes: boolean;
  readonly #items: OutputItems;
  readonly #blocks = new Map<number, Block>();
  /** Items that are complete but may yet turn out to be cut: they are done when something else begins, or nothing more. */
  #waiting: OutputItem[] = [];
  /** A reasoning block that has shown nothing yet: whether it is hidden decides about its id. */
  #unshown: Block | undefined;
  #head: AnswerHead | undefined;
  #sequence = 0;
  /** Of a stream that is not written here. */
  #lastSent: Uint8Array | undefined;
  #usage: Usage | undefined;
  #finished: Finished | undefined;
  /** JSON texts of the provider's own fields, the latest first. */
  readonly #extras: string[] = [];
  #pendingHead = "";
  #pendingTail = "";
  #pendingText = "";
  #pendingBlock: Block | undefined;
  #out = "";

  constructor(request: DialectRequest, facts: AnswerFacts) {
    const { isStored, summarizes } = renderingOf(request);
    this.#request = request;
    this.#facts = facts;
    this.#summarizes = summarizes;
    this.#items = new OutputItems({ generationId: facts.generationId, keeps: !isStored });
  }

  write({ events }: EventBatch): string {
    for (const event of events) this.#event(event);
    this.#flush();
    return this.#take();
  }

  /** Counted only where it is needed: this runs for every read of an upstream. */
  sent({ events, raw }: EventBatch): void {
    // Keep-alives have no number.
    if (raw !== undefined && raw.length > 0 && raw[0] !== colon) this.#lastSent = raw;
    for (const { event } of events) {
      if (event.case === "started") this.#head ??= answerHead(event.value, this.#facts, this.#request);
      else if (event.case === "usage") this.#usage = event.value;
    }
  }

  error(error: GatewayError): string {
    this.#flush();
    if (this.#lastSent !== undefined) this.#sequence = nextSequence(this.#lastSent);
    for (const { item } of this.#blocks.values()) item.isIncomplete = true;
    this.#terminal("response.failed", { status: "failed", error: responseError(error) });
    return this.#take();
  }

  end(): string {
    this.#flush();
    this.#start();
    this.#endItems();
    const reason = incompleteReason(this.#finished, hasRefusal(this.#items));
    const status = reason === undefined ? "completed" : "incomplete";
    this.#terminal(`response.${status}`, { status, incompleteReason: reason });
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
      case "blockDelta":
        if (value.candidate === 0) this.#delta(value);
        break;
      case "blockStarted":
        if (value.candidate === 0) this.#blockStarted(value, event.extrasJson);
        break;
      case "blockEnded":
        if (value.candidate === 0) this.#blockEnded(value);
        break;
      case "started":
        this.#keep(event.extrasJson);
        this.#start(value);
        break;
      case "usage":
        this.#usage = value;
        this.#keep(event.extrasJson);
        break;
      case "finished":
        if (value.candidate !== 0) break;
        this.#keep(event.extrasJson);
        this.#finished = value;
        this.#flush();
        this.#start();
        this.#endItems();
        break;
      case "settled":
        this.#usage ??= value.usage;
        break;
      case "opaque":
        if (value.format === format) this.#raw(value.dataJson);
        break;
      default:
        break; // a newer event: ignored, as the contract asks
    }
  }

  #keep(extras: Extras): void {
    const own = extras[format];
    if (own !== undefined) this.#extras.unshift(own);
  }

  #start(started?: Started): void {
    if (this.#head !== undefined) return;
    this.#head = answerHead(started, this.#facts, this.#request);
    const response = this.#answer({ status: "in_progress" });
    this.#frame("response.created", { response });
    this.#frame("response.in_progress", { response });
  }

  #answer(content: { status: Status } & Partial<AnswerContent>): WritableObject {
    this.#head ??= answerHead(undefined, this.#facts, this.#request);
    return writeAnswer(this.#head, { output: [], extras: this.#extras, ...content }, this.#request);
  }

  #terminal(type: string, content: { status: Status } & Partial<AnswerContent>): void {
    const output = this.#items.all.map(writeItem);
    this.#frame(type, { response: this.#answer({ output, usage: this.#usage, ...content }) });
  }

  #blockStarted(started: BlockStarted, extras: Extras): void {
    this.#flush();
    this.#start();
    this.#show();
    const { kind, id, toolCall, opaque } = started;
    const opened = this.#items.open({ kind, id, toolCall, opaque, extras: extras[format] });
    if (opened === undefined) return;
    const { item, isNew } = opened;
    const contentIndex = item.contents.length - 1;
    const block: Block = { item, content: item.contents[contentIndex], contentIndex, section: -1, isSummarized: undefined, bytes: [] };
    this.#blocks.set(started.index, block);
    if (isNew) {
      this.#doneWaiting();
      // A hidden reasoning and an image are known when they are complete.
      if (item.type === "reasoning") this.#unshown = block;
      else if (item.type !== "image_generation_call") this.#added(item);
    } else this.#waiting = this.#waiting.filter((waiting) => waiting !== item);
    if (block.content !== undefined) {
      const part = writeContent({ ...block.content, text: "" });
      this.#frame("response.content_part.added", { ...this.#place(block), content_index: contentIndex, part });
    }
  }

  #added(item: OutputItem): void {
    this.#frame("response.output_item.added", { output_index: item.index, item: writeNewItem(item) });
  }

  /** A reasoning item that shows something, or is followed by something, is not hidden. */
  #show(): void {
    if (this.#unshown === undefined) return;
    const { item } = this.#unshown;
    this.#unshown = undefined;
    this.#added(item);
  }

  #delta({ index, delta, annotations, logprobs, section }: BlockDelta): void {
    const block = this.#blocks.get(index);
    if (block === undefined) return;
    const { item, content } = block;
    switch (delta.case) {
      case "text":
        if (item.type === "reasoning") this.#reasoningText(block, delta.value);
        else if (content !== undefined) this.#contentText(block, content, delta.value, writeLogprobs(logprobs));
        else this.#grow(block, item.type === "custom_tool_call" ? deltaTypes.input : deltaTypes.arguments, delta.value);
        break;
      case "argumentsJson":
        this.#grow(block, deltaTypes.arguments, delta.value);
        break;
      case "summary":
        if (item.type === "reasoning") this.#summary(block, section + (block.isSummarized ? 1 : 0), delta.value);
        break;
      case "data":
        block.bytes.push(delta.value);
        break;
      case "opaqueJson":
        this.#raw(delta.value, item);
        break;
      default:
        break;
    }
    for (const annotation of content === undefined ? [] : annotations) {
      const written = writeAnnotation(annotation, codePoints(content?.text ?? ""));
      if (written === undefined || content === undefined) continue;
      const place = { ...this.#place(block), content_index: block.contentIndex, annotation_index: content.annotations.length };
      content.annotations.push(written);
      this.#frame("response.output_text.annotation.added", { ...place, annotation: written });
    }
  }

  #contentText(block: Block, content: Content, text: string, logprobs: WritableObject[]): void {
    content.text += text;
    if (logprobs.length === 0) {
      this.#append(block, content.isRefusal ? deltaTypes.refusal : deltaTypes.text, text);
      return;
    }
    content.logprobs.push(...logprobs);
    this.#frame(deltaTypes.text, { ...this.#place(block), content_index: block.contentIndex, delta: text, logprobs });
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
      this.#frame("response.content_part.added", { ...this.#place(block), content_index: 0, part });
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
      while (item.summaries.length <= section) item.summaries.push("");
      const part = { type: "summary_text", text: "" };
      this.#frame("response.reasoning_summary_part.added", { ...this.#place(block), summary_index: section, part });
    }
    item.summaries[section] += text;
    this.#append(block, deltaTypes.summary, text);
  }

  #endSummary(block: Block): void {
    if (block.section === -1) return;
    const text = block.item.summaries[block.section] ?? "";
    const place = { ...this.#place(block), summary_index: block.section };
    this.#frame("response.reasoning_summary_text.done", { ...place, text });
    this.#frame("response.reasoning_summary_part.done", { ...place, part: { type: "summary_text", text } });
  }

  /** Arguments, or the input of a tool with free text. */
  #grow(block: Block, type: string, text: string): void {
    block.item.text += text;
    this.#append(block, type, text);
  }

  #append(block: Block, type: string, text: string): void {
    if (text === "") return;
    if (this.#pendingBlock !== block || !this.#pendingHead.includes(type)) {
      this.#flush();
      this.#pendingBlock = block;
      this.#pendingHead = `event: ${type}\ndata: {"type":"${type}","sequence_number":`;
      this.#pendingTail = this.#tail(block, type);
    }
    this.#pendingText += text;
  }

  /** What stands before the text of a delta. */
  #tail({ item, contentIndex, section }: Block, type: string): string {
    const place = `,"item_id":${JSON.stringify(item.id)},"output_index":${item.index}`;
    if (type === deltaTypes.summary) return `${place},"summary_index":${section},"delta":`;
    if (type === deltaTypes.reasoning) return `${place},"content_index":0,"delta":`;
    if (type === deltaTypes.text) return `${place},"content_index":${contentIndex},"logprobs":[],"delta":`;
    return type === deltaTypes.refusal ? `${place},"content_index":${contentIndex},"delta":` : `${place},"delta":`;
  }

  #flush(): void {
    if (this.#pendingBlock === undefined) return;
    this.#out += `${this.#pendingHead}${this.#sequence++}${this.#pendingTail}${JSON.stringify(this.#pendingText)}}\n\n`;
    this.#pendingBlock = undefined;
    this.#pendingText = "";
  }

  #blockEnded(ended: BlockEnded): void {
    const block = this.#blocks.get(ended.index);
    if (block === undefined) return;
    this.#flush();
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
        if (item.text === "" && !ended.incomplete) this.#grow(block, deltaTypes.arguments, "{}");
        this.#frame("response.function_call_arguments.done", {
          ...this.#place(block),
          name: item.call?.name ?? "",
          arguments: item.text,
        });
        break;
      case "custom_tool_call":
        this.#frame("response.custom_tool_call_input.done", { ...this.#place(block), input: item.text });
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
    if (content.isRefusal) this.#frame("response.refusal.done", { ...place, refusal: content.text });
    else this.#frame("response.output_text.done", { ...place, text: content.text, logprobs: [...content.logprobs] });
    this.#frame("response.content_part.done", { ...place, part: writeContent(content) });
  }

  #endReasoning(block: Block, { signature, redacted }: BlockEnded): void {
    const { item } = block;
    item.signature = signature;
    if (redacted && this.#unshown === block) this.#items.markRedacted(item);
    this.#show();
    this.#endSummary(block);
    if (!item.hasText) return;
    const place = { ...this.#place(block), content_index: 0 };
    this.#frame("response.reasoning_text.done", { ...place, text: item.text });
    this.#frame("response.content_part.done", { ...place, part: { type: "reasoning_text", text: item.text } });
  }

  #doneWaiting(): void {
    for (const item of this.#waiting) this.#frame("response.output_item.done", { output_index: item.index, item: writeItem(item) });
    this.#waiting = [];
  }

  /** The last item is the one that a limit cut. */
  #endItems(): void {
    const last = this.#items.all.at(-1);
    const isCut = incompleteReason(this.#finished, false) === "max_output_tokens";
    if (isCut && last !== undefined && this.#waiting.includes(last)) last.isIncomplete = true;
    this.#doneWaiting();
  }

  /** A record of this format that is not modelled, with the numbers of this stream. */
  #raw(dataJson: string, item?: OutputItem): void {
    const data = parseJson(dataJson, upstreamJsonLimits);
    if (!isJsonObject(data) || typeof data.type !== "string") return;
    this.#start();
    const { type, sequence_number: _number, ...rest } = data;
    const place = item === undefined ? {} : { output_index: item.index };
    this.#frame(type, { ...(rest as WritableObject), ...place });
  }

  #place({ item }: Block): { item_id: string; output_index: number } {
    return { item_id: item.id, output_index: item.index };
  }

  #frame(type: string, rest: { [key: string]: Writable }): void {
    this.#flush();
    this.#out += `event: ${type}\ndata: ${writeJson({ type, sequence_number: this.#sequence++, ...rest })}\n\n`;
  }
}

/** Of a comment. */
const colon = 0x3a;

/** The number after the highest that records hold; inside a JSON string its quotes would be escaped. */
function nextSequence(records: Uint8Array): number {
  const numbers = Buffer.from(records)
    .toString("latin1")
    .matchAll(/"sequence_number":\s*(\d+)/g);
  return Math.max(-1, ...Array.from(numbers, ([, number]) => Number(number))) + 1;
}
