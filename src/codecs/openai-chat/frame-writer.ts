/** The frames of a chat completion stream: what stands in all of them is built once. */
import type { Started } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { AnswerFacts } from "../../core/dialect.ts";
import { mergeExtras, type Writable, type WritableObject, writeJson } from "../../core/json.ts";
import { answerHead } from "./answer-head.ts";

export interface FrameFacts extends AnswerFacts {
  /** What the client asked for, where the provider does not name the model that answers. */
  readonly model: string;
  /** Whether the stream ends in a frame of usage: all others then say that theirs is null. */
  readonly includeUsage: boolean;
}

export class FrameWriter {
  readonly #facts: FrameFacts;
  /** `data: {"id":...,"model":"...",`; empty until the start. */
  #prefix = "";
  /** What follows `choices`, to the end of the frame. */
  #suffix = "";
  #fingerprint = "";
  /** JSON text of unknown top-level fields of the provider's reply, for the first frame. */
  #extras: string | undefined;
  #out = "";

  constructor(facts: FrameFacts) {
    this.#facts = facts;
  }

  /** Fixes id, time and model; only the first call counts. */
  start(started?: Started, extras?: string): void {
    if (this.#prefix !== "") return;
    const { id, created, model, systemFingerprint } = answerHead(started, this.#facts, this.#facts.model);
    const names = `"id":${JSON.stringify(id)},"object":"chat.completion.chunk","created":${created},"model":${JSON.stringify(model)}`;
    this.#prefix = `data: {${names},`;
    this.#fingerprint = systemFingerprint === "" ? "" : `,"system_fingerprint":${JSON.stringify(systemFingerprint)}`;
    this.#suffix = `${this.#fingerprint}${this.#facts.includeUsage ? ',"usage":null' : ""}}\n\n`;
    this.#extras = extras;
  }

  /** The first frame of a candidate says the role. */
  writeRole(candidate: number): void {
    this.start();
    const frame: WritableObject = {};
    mergeExtras(frame, this.#extras);
    this.#extras = undefined;
    this.write([{ index: candidate, delta: { role: "assistant", content: "" }, finish_reason: null }], frame);
  }

  /** `extras`: JSON text of unknown members of the choice. */
  writeChoice(index: number, delta: WritableObject, extras?: string, finish: string | null = null): void {
    const choice: WritableObject = { index, delta, finish_reason: finish };
    mergeExtras(choice, extras);
    this.write([choice]);
  }

  write(choices: readonly Writable[], extras: WritableObject = {}): void {
    this.start();
    const rest = Object.keys(extras).length === 0 ? "" : `,${writeJson(extras).slice(1, -1)}`;
    this.#out += `${this.#prefix}"choices":${writeJson(choices)}${rest}${this.#suffix}`;
  }

  /** The frame of usage, without choices. */
  writeUsage(members: WritableObject): void {
    this.start();
    this.#out += `${this.#prefix}"choices":[]${this.#fingerprint},${writeJson(members).slice(1)}\n\n`;
  }

  /** What stands before and after a delta's text; `open` and `close` are the JSON around it inside `delta`. */
  around(candidate: number, { open, close }: { readonly open: string; readonly close: string }): { head: string; tail: string } {
    this.start();
    return {
      head: `${this.#prefix}"choices":[{"index":${candidate},"delta":${open}`,
      tail: `${close},"finish_reason":null}]${this.#suffix}`,
    };
  }

  /** A frame whose parts came from `around`. */
  writeText(head: string, text: string, tail: string): void {
    this.#out += head + JSON.stringify(text) + tail;
  }

  /** What was written since the last time. */
  take(): string {
    const out = this.#out;
    this.#out = "";
    return out;
  }
}
