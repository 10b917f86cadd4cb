/**
 * Events to the frames of a chat completion stream (surfaces.md C11). What is constant in a block is built once; a delta
 * costs one JSON string and one concatenation, and neighbours of one batch share a frame.
 */
import { type BlockDelta, type BlockEnded, BlockKind, type BlockStarted, ToolKind } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { Usage } from "../../../gen/dragoman/v1/usage_pb.ts";
import type { AnswerFacts, DialectRequest, EventWriter } from "../../core/dialect.ts";
import type { GatewayError } from "../../core/error.ts";
import type { EventBatch, Extras, GenerateEvent } from "../../core/event.ts";
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
import { writeLogprobs } from "../../core/openai-logprobs.ts";
import { serviceTiers, wordFor } from "../../core/openai-words.ts";
import { codePoints, writeAnnotation } from "./annotations.ts";
import { FrameWriter } from "./frame-writer.ts";
import { type Block, openBlock, textFields } from "./open-block.ts";
import { writeUsage } from "./usage.ts";
import { finishWord, format } from "./wire.ts";
import { writeChatError } from "./write-error.ts";
import { imageEntry } from "./write-media.ts";

interface CandidateState {
  readonly blocks: Map<number, Block>;
  tools: number;
  textLength: number;
  refused: boolean;
  finished: boolean;
}

const done = "data: [DONE]\n\n";

/** The writer of one stream. `facts` are used where the provider gave no id or time of its own. */
export function createEventWriter(request: DialectRequest, facts: AnswerFacts): EventWriter {
  return new ChatEventWriter(request, facts);
}

class ChatEventWriter implements EventWriter {
  readonly #includeUsage: boolean;
  readonly #frames: FrameWriter;
  readonly #candidates = new Map<number, CandidateState>();
  #usage: Usage | undefined;
  /** Of a stream whose bytes are the server's: whether it said its counts. */
  #hasUsage = false;
  #usageExtras: string | undefined;
  /** Text that waits for its neighbours of the same batch. */
  #pendingBlock: Block | undefined;
  #pendingText = "";

  constructor(request: DialectRequest, facts: AnswerFacts) {
    this.#includeUsage = request.includeUsage;
    this.#frames = new FrameWriter({ ...facts, model: request.generate.model, includeUsage: request.includeUsage });
  }

  write({ events }: EventBatch): string {
    for (let at = 0; at < events.length; at++) this.#event(events[at] as GenerateEvent, events, at);
    this.#flush();
    return this.#frames.take();
  }

  error(error: GatewayError): string {
    return `data: ${JSON.stringify(writeChatError(error))}\n\n`;
  }

  end(): string {
    if (this.#includeUsage && this.#usage !== undefined) {
      const frame: WritableObject = { usage: writeUsage(this.#usage), service_tier: wordFor(serviceTiers, this.#usage.serviceTier) };
      mergeExtras(frame, this.#usageExtras);
      this.#frames.writeUsage(frame);
    }
    return this.#frames.take() + done;
  }

  sent({ events }: EventBatch): void {
    for (const { event } of events) {
      if (event.case === "started") this.#frames.start(event.value);
      else if (event.case === "usage") this.#hasUsage = true;
      else if (event.case === "settled") this.#usage = event.value.usage;
    }
  }

  /** The relay keeps the end mark back where the client asked for counts and the server gave none. */
  endRelayed(): string {
    return this.#includeUsage && !this.#hasUsage ? this.end() : "";
  }

  #event(event: GenerateEvent, events: readonly GenerateEvent[], at: number): void {
    const { case: kind, value } = event.event;
    switch (kind) {
      case "blockDelta":
        this.#delta(value, event.extrasJson);
        break;
      case "blockStarted":
        this.#flush();
        this.#block(value, event.extrasJson, value.kind === BlockKind.TOOL_CALL ? signatureAhead(value, events, at) : undefined);
        break;
      case "blockEnded":
        this.#flush();
        this.#blockEnded(value, event.extrasJson);
        break;
      case "started":
        this.#frames.start(value, event.extrasJson[format]);
        break;
      case "usage":
        this.#usage = value;
        this.#usageExtras = event.extrasJson[format];
        break;
      case "finished": {
        this.#flush();
        const state = this.#candidate(value.candidate);
        if (state.finished) break;
        state.finished = true;
        this.#frames.writeChoice(value.candidate, {}, choiceExtras(event.extrasJson), finishWord(value.reason, state.refused));
        break;
      }
      case "settled":
        this.#usage ??= value.usage;
        break;
      case "opaque":
        this.#flush();
        if (value.format === format) this.#opaque(value.type, value.dataJson);
        break;
      default:
        break; // a newer event: ignored, as the contract asks
    }
  }

  /** The state of a candidate; its first frame says the role. */
  #candidate(index: number): CandidateState {
    let state = this.#candidates.get(index);
    if (state === undefined) {
      state = { blocks: new Map(), tools: 0, textLength: 0, refused: false, finished: false };
      this.#candidates.set(index, state);
      this.#frames.writeRole(index);
    }
    return state;
  }

  #block(started: BlockStarted, extras: Extras, signature: string | undefined): void {
    const { candidate, kind } = started;
    const state = this.#candidate(candidate);
    const tool = kind === BlockKind.TOOL_CALL ? state.tools++ : -1;
    const custom = started.toolCall?.kind === ToolKind.CUSTOM;
    state.blocks.set(started.index, openBlock(started, tool, state.textLength, this.#frames));
    if (kind === BlockKind.REFUSAL) state.refused = true;
    if (started.toolCall !== undefined && tool !== -1) {
      const { id, name } = started.toolCall;
      const call: WritableObject = custom
        ? { index: tool, id, type: "custom", custom: { name, input: "" } }
        : { index: tool, id, type: "function", function: { name, arguments: "" } };
      if (signature !== undefined) call.extra_content = { google: { thought_signature: signature } };
      mergeExtras(call, extras[format]);
      this.#frames.writeChoice(candidate, { tool_calls: [call] });
    } else if (kind === BlockKind.AUDIO && started.id !== "") this.#frames.writeChoice(candidate, { audio: { id: started.id } });
  }

  #delta(delta: BlockDelta, extras: Extras): void {
    const block = this.#candidates.get(delta.candidate)?.blocks.get(delta.index);
    if (block === undefined) return;
    const { case: kind, value } = delta.delta;
    switch (kind) {
      case "text":
        if (block.kind === BlockKind.TEXT) this.#count(block, value);
        if (delta.annotations.length > 0 || delta.logprobs.length > 0 || extras[format] !== undefined)
          this.#richDelta(block, delta, value, extras);
        else this.#append(block, value);
        break;
      case "argumentsJson":
        if (extras[format] === undefined) this.#append(block, value);
        else this.#fragment(block, value, extras[format]);
        break;
      case "summary":
        if (block.section !== delta.section) {
          block.section = delta.section;
          this.#append(block, "\n\n");
        }
        this.#append(block, value);
        break;
      case "data":
        block.bytes.push(value);
        if (block.kind === BlockKind.AUDIO) this.#audioData(block, false);
        break;
      case "transcript":
        this.#flush();
        if (value !== "") this.#frames.writeChoice(block.candidate, { audio: { transcript: value } });
        break;
      default:
        this.#richDelta(block, delta, "", extras);
    }
  }

  #count(block: Block, text: string): void {
    const length = codePoints(text);
    block.length += length;
    const state = this.#candidates.get(block.candidate);
    if (state !== undefined) state.textLength += length;
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
    if (block.around !== undefined) this.#frames.writeText(block.around.head, this.#pendingText, block.around.tail);
    this.#pendingBlock = undefined;
    this.#pendingText = "";
  }

  /** A piece of arguments with fields that are not modelled. */
  #fragment(block: Block, fragment: string, extras: string): void {
    this.#flush();
    const call: WritableObject = { index: block.tool, function: { arguments: fragment } };
    mergeExtras(call, extras);
    this.#frames.writeChoice(block.candidate, { tool_calls: [call] });
    block.hasArguments ||= fragment !== "";
  }

  /** Text with citations, log probabilities or fields that are not modelled. */
  #richDelta(block: Block, { annotations, logprobs }: BlockDelta, text: string, extras: Extras): void {
    this.#flush();
    const delta: WritableObject = {};
    const name = textFields[block.kind];
    if (name !== undefined && (text !== "" || logprobs.length > 0)) delta[name] = text;
    else this.#append(block, text);
    this.#flush();
    const cited = annotations.map((annotation) => writeAnnotation(annotation, block.base, block.length)).filter(isDefined);
    if (cited.length > 0) delta.annotations = cited;
    const choice: WritableObject = { index: block.candidate, delta };
    if (logprobs.length > 0) {
      const list = writeLogprobs(logprobs);
      choice.logprobs = block.kind === BlockKind.REFUSAL ? { content: null, refusal: list } : { content: list, refusal: null };
    }
    choice.finish_reason = null;
    mergeExtras(choice, extras[format]);
    if (Object.keys(delta).length > 0 || Object.keys(choice).length > 3) this.#frames.write([choice]);
  }

  #blockEnded(ended: BlockEnded, extras: Extras): void {
    const blocks = this.#candidates.get(ended.candidate)?.blocks;
    const block = blocks?.get(ended.index);
    if (block === undefined) return;
    blocks?.delete(ended.index);
    switch (block.kind) {
      case BlockKind.TOOL_CALL: {
        // A call without arguments still needs JSON for the client to parse.
        if (!block.hasArguments && !ended.incomplete && !block.custom) this.#append(block, "{}");
        this.#flush();
        break;
      }
      case BlockKind.AUDIO: {
        this.#audioData(block, true);
        const delta: WritableObject = {};
        mergeExtras(delta, extras[format]);
        if (Object.keys(delta).length > 0) this.#frames.writeChoice(block.candidate, delta);
        break;
      }
      case BlockKind.IMAGE: {
        const media = ended.media;
        const entry = imageEntry(media?.source ?? { case: "data", value: Buffer.concat(block.bytes) }, media?.mimeType || block.mimeType);
        if (entry !== undefined && !ended.incomplete) this.#frames.writeChoice(block.candidate, { images: [entry] });
        break;
      }
      case BlockKind.OPAQUE:
        // Content that is a list of parts (Mistral).
        if (ended.opaque?.format === format) this.#frames.writeChoice(block.candidate, { content: [new RawJson(ended.opaque.dataJson)] });
        break;
      default:
        break;
    }
  }

  /** Base64 in whole groups of three bytes, so that clients can join the pieces. */
  #audioData(block: Block, isLast: boolean): void {
    const bytes = Buffer.concat(block.bytes);
    const whole = isLast ? bytes.length : bytes.length - (bytes.length % 3);
    block.bytes = whole === bytes.length ? [] : [bytes.subarray(whole)];
    if (whole > 0) this.#frames.writeChoice(block.candidate, { audio: { data: bytes.toString("base64", 0, whole) } });
  }

  /** A record of this format that was not modelled: a choice, or a whole frame without one. */
  #opaque(type: string, dataJson: string): void {
    const data = parseJson(dataJson, upstreamJsonLimits);
    if (!isJsonObject(data)) return;
    this.#frames.start();
    if (type === "choice") {
      const { index, delta, ...rest } = data;
      const candidate = typeof index === "number" ? index : 0;
      this.#candidate(candidate);
      this.#frames.writeChoice(candidate, isJsonObject(delta) ? (delta as WritableObject) : {}, writeJson(rest as Writable));
    } else this.#frames.write([], data as WritableObject);
  }
}

function isDefined<Value>(value: Value | undefined): value is Value {
  return value !== undefined;
}

/** Unknown members of a whole reply's `message` are members of `delta` here. */
function choiceExtras(extras: Extras): string | undefined {
  const text = extras[format];
  if (text === undefined || !text.includes('"message"')) return text;
  const parsed = parseJson(text, upstreamJsonLimits);
  if (!isJsonObject(parsed) || parsed.message === undefined) return text;
  const { message, ...rest } = parsed;
  return writeJson({ ...rest, delta: message } as Writable);
}

/**
 * Gemini's signature of a call comes at the end of its block, which is mostly in the same batch: it belongs into the
 * frame that opens the call, where Chat clients keep what they do not know.
 */
function signatureAhead(started: BlockStarted, events: readonly GenerateEvent[], at: number): string | undefined {
  for (let next = at + 1; next < events.length; next++) {
    const { case: kind, value } = (events[next] as GenerateEvent).event;
    if (kind === "blockEnded" && value.candidate === started.candidate && value.index === started.index) {
      return value.signature?.format === "gemini" ? value.signature.value : undefined;
    }
  }
  return undefined;
}
