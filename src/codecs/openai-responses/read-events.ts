/** The frames of a Responses stream, read into events. */
import type { EventReader } from "../../core/dialect.ts";
import type { GenerateEvent } from "../../core/event.ts";
import { readFrame } from "../../core/openai-frame.ts";
import type { Frame } from "../../core/sse.ts";
import { AnswerReader } from "./answer-reader.ts";
import { errorInAnswer } from "./read-error.ts";

/** One reader per attempt. `state` is what writeRequest gave. */
export function createEventReader(provider: string, state?: unknown): EventReader {
  return new ResponsesEventReader(provider, state);
}

class ResponsesEventReader implements EventReader {
  readonly #provider: string;
  readonly #answer: AnswerReader;

  constructor(provider: string, state: unknown) {
    this.#provider = provider;
    this.#answer = new AnswerReader(provider, state, true);
  }

  /** After the terminal event, and after a stop text: then the provider stops reading. */
  get done(): boolean {
    return this.#answer.isFinished;
  }

  read({ event, data }: Frame): GenerateEvent[] {
    if (this.done) return [];
    const text = data.trim();
    // Compatible servers end with the mark of Chat Completions.
    if (text === "" || text === "[DONE]") return [];
    const value = readFrame(text);
    if (event === "error") throw errorInAnswer(value ?? text, this.#provider, true);
    if (value === undefined) throw this.#answer.broken("its stream has a record that is not JSON");
    return this.#answer.read(value);
  }

  end(): GenerateEvent[] {
    if (!this.#answer.isFinished) throw this.#answer.broken("its stream ended before the answer was complete");
    return [];
  }

  abandon(): GenerateEvent[] {
    return this.#answer.abandon();
  }
}
