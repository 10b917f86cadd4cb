/** Events to the frames of a completion stream: text by candidate, one finish each, usage if asked for, `[DONE]`. */
import { BlockKind, type Started, type TokenLogprob } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { Usage } from "../../../gen/dragoman/v1/usage_pb.ts";
import type { AnswerFacts, DialectRequest, EventWriter } from "../../core/dialect.ts";
import type { GatewayError } from "../../core/error.ts";
import type { EventBatch, GenerateEvent } from "../../core/event.ts";
import { type Writable, type WritableObject, writeJson } from "../../core/json.ts";
import { writeOpenAiError } from "../../core/openai-error.ts";
import { answerHead } from "./answer-head.ts";
import { writeLogprobs } from "./logprobs.ts";
import { echoOf, type Rendering, renderingOf } from "./rendering.ts";
import { writeUsage } from "./usage.ts";
import { codePoints, finishWord } from "./wire.ts";

interface CandidateState {
  /** Kinds of its blocks by index. */
  readonly kinds: Map<number, BlockKind>;
  /** Code points so far. */
  length: number;
  refused: boolean;
}

const done = "data: [DONE]\n\n";

/** The writer of one stream. `facts` are used where the provider gave no id or time of its own. */
export function createEventWriter(request: DialectRequest, facts: AnswerFacts): EventWriter {
  return new CompletionEventWriter(request, facts);
}

class CompletionEventWriter implements EventWriter {
  readonly #request: DialectRequest;
  readonly #facts: AnswerFacts;
  readonly #rendering: Rendering;
  readonly #candidates = new Map<number, CandidateState>();
  #head: WritableObject | undefined;
  #usage: Usage | undefined;
  #out = "";

  constructor(request: DialectRequest, facts: AnswerFacts) {
    this.#request = request;
    this.#facts = facts;
    this.#rendering = renderingOf(request);
  }

  write({ events }: EventBatch): string {
    for (const event of events) this.#event(event);
    return this.#take();
  }

  error(error: GatewayError): string {
    return `data: ${JSON.stringify(writeOpenAiError(error))}\n\n`;
  }

  end(): string {
    if (this.#request.includeUsage && this.#usage !== undefined) this.#frame([], writeUsage(this.#usage));
    return this.#take() + done;
  }

  #event({ event }: GenerateEvent): void {
    switch (event.case) {
      case "started":
        this.#start(event.value);
        break;
      case "blockStarted": {
        const { candidate, index, kind } = event.value;
        const state = this.#candidate(candidate);
        state.kinds.set(index, kind);
        state.refused ||= kind === BlockKind.REFUSAL;
        break;
      }
      case "blockDelta": {
        const { candidate, index, delta, logprobs } = event.value;
        const kind = this.#candidate(candidate).kinds.get(index);
        const isText = kind === BlockKind.TEXT || kind === BlockKind.REFUSAL;
        if (isText && (delta.case === "text" || logprobs.length > 0))
          this.#text(candidate, delta.case === "text" ? delta.value : "", logprobs);
        break;
      }
      case "finished": {
        const { candidate, reason } = event.value;
        this.#choice(candidate, "", null, finishWord(reason, this.#candidate(candidate).refused));
        break;
      }
      case "usage":
        this.#usage = event.value;
        break;
      case "settled":
        this.#usage ??= event.value.usage;
        break;
      default:
        break;
    }
  }

  #start(started: Started | undefined): WritableObject {
    this.#head ??= answerHead(started, this.#facts, this.#request.generate.model);
    return this.#head;
  }

  /** What its answer echoes comes first. */
  #candidate(index: number): CandidateState {
    const known = this.#candidates.get(index);
    if (known !== undefined) return known;
    const state: CandidateState = { kinds: new Map(), length: 0, refused: false };
    this.#candidates.set(index, state);
    const echo = echoOf(this.#rendering, index);
    if (echo !== "") this.#text(index, echo, []);
    return state;
  }

  #text(candidate: number, text: string, logprobs: readonly TokenLogprob[]): void {
    const state = this.#candidate(candidate);
    const offset = state.length;
    state.length += codePoints(text);
    if (text !== "" || logprobs.length > 0) this.#choice(candidate, text, writeLogprobs(logprobs, offset), null);
  }

  #choice(index: number, text: string, logprobs: Writable, finishReason: string | null): void {
    this.#frame([{ text, index, logprobs, finish_reason: finishReason }], this.#request.includeUsage ? null : undefined);
  }

  #frame(choices: Writable[], usage: Writable | undefined): void {
    this.#out += `data: ${writeJson({ ...this.#start(undefined), choices, usage })}\n\n`;
  }

  #take(): string {
    const out = this.#out;
    this.#out = "";
    return out;
  }
}
