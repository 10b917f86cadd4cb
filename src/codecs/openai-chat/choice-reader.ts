/**
 * One choice of an answer, streamed or whole: a whole message is read as the delta that holds all of it, so both give
 * the same blocks. Text, reasoning, refusal and sound follow each other; tool calls stay open until the choice ends,
 * because their fragments may interleave.
 */
import { type Annotation, BlockKind, FinishReason, type TokenLogprob } from "../../../gen/dragoman/v1/generate_pb.ts";
import { type EventBuilder, finishedEvent, opaqueEvent } from "../../core/event.ts";
import { isJsonObject, type JsonObject, type JsonValue, jsonText, type Writable, type WritableObject, writeJson } from "../../core/json.ts";
import { readLogprobs } from "../../core/openai-logprobs.ts";
import { codePoints, readAnnotation } from "./annotations.ts";
import type { ToolCallFacts } from "./tool-call-reader.ts";
import { ToolCallReader } from "./tool-call-reader.ts";
import { finishReasons, format } from "./wire.ts";

interface OpenBlock {
  readonly kind: BlockKind;
  readonly index: number;
}

export class ChoiceReader {
  readonly #builder: EventBuilder;
  readonly #candidate: number;
  readonly #calls: ToolCallReader;
  #current: OpenBlock | undefined;
  /** Code points of the text before the open text block, and in it: citations count from the message's begin. */
  #base = 0;
  #length = 0;
  #refused = false;
  #audioRest = "";
  #audioExtras: WritableObject = {};
  isFinished = false;

  constructor(facts: ToolCallFacts) {
    this.#builder = facts.builder;
    this.#candidate = facts.candidate;
    this.#calls = new ToolCallReader(facts);
  }

  /**
   * `name` is the member that holds the content: `delta` of a frame, `message` of a whole reply. Unknown members come out
   * with `finished`; of a frame that does not finish, as an opaque event of type `choice`.
   */
  read(choice: JsonObject, name: "delta" | "message"): void {
    if (this.isFinished) return;
    const content = choice[name];
    const logprobs = isJsonObject(choice.logprobs) ? choice.logprobs : undefined;
    const unknownContent = isJsonObject(content) ? this.#content(content, logprobs) : undefined;
    const unknown = unknownMembers(choice, name);
    if (unknownContent !== undefined) unknown[name] = unknownContent;
    const reason = choice.finish_reason;
    if (typeof reason === "string" && reason !== "") this.#finish(reason, unknown);
    else if (Object.keys(unknown).length > 0) {
      this.#builder.push(opaqueEvent(format, "choice", writeJson({ index: this.#candidate, ...unknown })));
    }
  }

  #finish(word: string, unknown: WritableObject): void {
    this.#endCurrent();
    this.#calls.end();
    this.isFinished = true;
    const extras = Object.keys(unknown).length === 0 ? undefined : { [format]: writeJson(unknown) };
    this.#builder.push(finishedEvent({ candidate: this.#candidate, reason: this.#reason(word), rawReason: word }, extras));
  }

  #reason(word: string): FinishReason {
    const reason = Object.hasOwn(finishReasons, word) ? (finishReasons[word] as FinishReason) : FinishReason.UNSPECIFIED;
    const isEnd = reason === FinishReason.STOP || reason === FinishReason.TOOL_CALLS;
    // Some servers say `stop` after calls; the call that stands for a schema is none.
    if (isEnd && this.#calls.hasCalls) return FinishReason.TOOL_CALLS;
    if (isEnd && this.#calls.hasSchemaAnswer) return FinishReason.STOP;
    return reason === FinishReason.STOP && this.#refused ? FinishReason.REFUSAL : reason;
  }

  /** Gives the members that are not modelled. */
  #content(content: JsonObject, logprobs: JsonObject | undefined): WritableObject | undefined {
    let unknown: WritableObject | undefined;
    const reasoning = content.reasoning_content ?? content.reasoning;
    if (typeof reasoning === "string" && reasoning !== "") this.#text(BlockKind.REASONING, reasoning);
    const text = content.content;
    if (typeof text === "string") this.#answerText(text, readLogprobs(logprobs?.content));
    else if (Array.isArray(text)) for (const part of text) this.#part(part);
    if (typeof content.refusal === "string") this.#refusal(content.refusal, readLogprobs(logprobs?.refusal));
    if (Array.isArray(content.annotations)) this.#annotations(content.annotations);
    if (isJsonObject(content.audio)) this.#audio(content.audio);
    if (Array.isArray(content.images)) this.#images(content.images);
    if (Array.isArray(content.tool_calls) && content.tool_calls.length > 0) {
      this.#endCurrent();
      content.tool_calls.forEach((entry, position) => {
        if (isJsonObject(entry)) this.#calls.read(entry, position);
      });
    }
    if (isJsonObject(content.function_call)) {
      this.#endCurrent();
      this.#calls.readFunctionCall(content.function_call);
    }
    for (const key of Object.keys(content)) {
      if (known.has(key) || content[key] === null || isEmptyList(content[key])) continue;
      unknown ??= {};
      unknown[key] = content[key] as Writable;
    }
    return unknown;
  }

  #answerText(text: string, logprobs: TokenLogprob[]): void {
    // An empty text opens no block, unless its tokens are reported.
    if (text === "" && logprobs.length === 0) return;
    this.#length += this.#text(BlockKind.TEXT, text, [], logprobs);
  }

  #refusal(text: string, logprobs: TokenLogprob[]): void {
    if (text === "" && logprobs.length === 0) return;
    this.#refused = true;
    this.#text(BlockKind.REFUSAL, text, [], logprobs);
  }

  /** Gives the code points of a text block's text. */
  #text(kind: BlockKind, text: string, annotations: Annotation[] = [], logprobs: TokenLogprob[] = []): number {
    const { index } = this.#open(kind);
    this.#builder.delta(this.#candidate, index, { case: "text", value: text }, annotations, logprobs);
    return kind === BlockKind.TEXT ? codePoints(text) : 0;
  }

  #annotations(values: readonly JsonValue[]): void {
    if (values.length === 0) return;
    // Opened first: a new block moves the base that offsets are counted from.
    this.#open(BlockKind.TEXT);
    const annotations = values.map((value) => readAnnotation(value, this.#base)).filter((annotation) => annotation !== undefined);
    if (annotations.length > 0) this.#text(BlockKind.TEXT, "", annotations);
  }

  /** Content as a list of parts (Mistral's reasoning models). */
  #part(part: JsonValue): void {
    if (typeof part === "string") this.#answerText(part, []);
    else if (!isJsonObject(part)) return;
    else if (part.type === "text" && typeof part.text === "string") this.#answerText(part.text, []);
    else if (part.type === "refusal" && typeof part.refusal === "string") this.#refusal(part.refusal, []);
    else if (part.type === "thinking") {
      const pieces = Array.isArray(part.thinking) ? part.thinking : [part.thinking];
      for (const piece of pieces) {
        const text = isJsonObject(piece) ? piece.text : piece;
        if (typeof text === "string" && text !== "") this.#text(BlockKind.REASONING, text);
      }
    } else this.#opaquePart(part);
  }

  #opaquePart(part: JsonObject): void {
    this.#endCurrent();
    const type = typeof part.type === "string" ? part.type : "";
    const opaque = { $typeName: "dragoman.v1.OpaquePart", format, type, dataJson: jsonText(part) } as const;
    const index = this.#builder.startBlock(this.#candidate, BlockKind.OPAQUE, { opaque });
    this.#builder.endBlock(this.#candidate, index, { opaque });
  }

  #audio(audio: JsonObject): void {
    const { id, data, transcript, ...rest } = audio;
    const block = this.#open(BlockKind.AUDIO, typeof id === "string" ? id : "");
    if (typeof transcript === "string" && transcript !== "") {
      this.#builder.delta(this.#candidate, block.index, { case: "transcript", value: transcript });
    }
    if (typeof data === "string" && data !== "") {
      // Pieces need not end with a whole group of four.
      const text = this.#audioRest + data;
      const whole = text.length - (text.length % 4);
      this.#audioRest = text.slice(whole);
      this.#audioData(block.index, text.slice(0, whole));
    }
    for (const key of Object.keys(rest)) if (rest[key] !== null) this.#audioExtras[key] = rest[key] as Writable;
  }

  #audioData(index: number, base64: string): void {
    if (base64 === "") return;
    this.#builder.delta(this.#candidate, index, { case: "data", value: new Uint8Array(Buffer.from(base64, "base64")) });
  }

  /** `images: [{type: image_url, image_url: {url}}]` of OpenRouter. */
  #images(images: readonly JsonValue[]): void {
    for (const image of images) {
      const holder = isJsonObject(image) ? image.image_url : undefined;
      const url = isJsonObject(holder) ? holder.url : holder;
      if (typeof url !== "string" || url === "") continue;
      this.#endCurrent();
      const inline = /^data:([^;,]*)(?:;[^,]*)?;base64,/.exec(url);
      const mimeType = inline?.[1] ?? "";
      const index = this.#builder.startBlock(this.#candidate, BlockKind.IMAGE, { mimeType });
      if (inline === null) {
        const media = { source: { case: "url", value: url } } as const;
        this.#builder.endBlock(this.#candidate, index, { media });
      } else {
        const value = new Uint8Array(Buffer.from(url.slice(inline[0].length), "base64"));
        this.#builder.delta(this.#candidate, index, { case: "data", value });
        this.#builder.endBlock(this.#candidate, index);
      }
    }
  }

  /** The open block of this kind; another kind ends, for these follow each other. */
  #open(kind: BlockKind, id = ""): OpenBlock {
    if (this.#current?.kind === kind) return this.#current;
    this.#endCurrent();
    this.#current = { kind, index: this.#builder.startBlock(this.#candidate, kind, id === "" ? {} : { id }) };
    return this.#current;
  }

  #endCurrent(): void {
    const current = this.#current;
    if (current === undefined) return;
    this.#current = undefined;
    if (current.kind === BlockKind.TEXT) {
      this.#base += this.#length;
      this.#length = 0;
    }
    if (current.kind === BlockKind.AUDIO) {
      this.#audioData(current.index, this.#audioRest);
      this.#audioRest = "";
    }
    const hasExtras = current.kind === BlockKind.AUDIO && Object.keys(this.#audioExtras).length > 0;
    this.#builder.endBlock(
      this.#candidate,
      current.index,
      {},
      hasExtras ? { [format]: writeJson({ audio: this.#audioExtras }) } : undefined,
    );
  }
}

/** Members of `delta` and `message` that are read here. */
const known: ReadonlySet<string> = new Set([
  ...["role", "content", "reasoning_content", "reasoning", "refusal", "annotations", "audio", "images", "tool_calls", "function_call"],
]);

function isEmptyList(value: JsonValue | undefined): boolean {
  return Array.isArray(value) && value.length === 0;
}

/** Members of the choice itself; nulls mean absent. Log probabilities that stand on no text stay with the choice. */
function unknownMembers(choice: JsonObject, name: string): WritableObject {
  const unknown: WritableObject = {};
  for (const key of Object.keys(choice)) {
    if (key === "index" || key === "finish_reason" || key === name || choice[key] === null) continue;
    if (key === "logprobs" && placed(choice[name])) continue;
    if (key === "delta" || key === "message") continue;
    unknown[key] = choice[key] as Writable;
  }
  return unknown;
}

function placed(content: JsonValue | undefined): boolean {
  return isJsonObject(content) && (typeof content.content === "string" || typeof content.refusal === "string");
}
