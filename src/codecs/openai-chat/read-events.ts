/** The frames of a chat completion stream, read into events (contract.md 4, Chat reader). */
import type { EventReader } from "../../core/dialect.ts";
import type { GenerateEvent } from "../../core/event.ts";
import { readFrame } from "../../core/openai-frame.ts";
import type { Frame } from "../../core/sse.ts";
import { AnswerReader } from "./answer-reader.ts";
import type { OpenAiChatQuirks } from "./quirks.ts";
import { errorInAnswer } from "./read-error.ts";

const endMark = "[DONE]";

/** One reader per attempt. `state` is what writeRequest gave. */
export function createEventReader(provider: string, quirks: OpenAiChatQuirks, state?: unknown): EventReader {
  return new ChatEventReader(provider, quirks, state);
}

class ChatEventReader implements EventReader {
  readonly #provider: string;
  readonly #answer: AnswerReader;
  readonly #endMarkOptional: boolean;
  done = false;

  constructor(provider: string, quirks: OpenAiChatQuirks, state: unknown) {
    this.#provider = provider;
    this.#answer = new AnswerReader(provider, quirks, state, true);
    this.#endMarkOptional = quirks.endMarkOptional ?? false;
  }

  read({ event, data }: Frame): GenerateEvent[] {
    if (this.done) return [];
    const text = data.trim();
    if (text === "") return [];
    if (text === endMark) {
      this.done = true;
      return [];
    }
    const value = readFrame(text);
    if (value === undefined) {
      if (event === "error") throw errorInAnswer(text, this.#provider, true);
      throw this.#answer.broken("its stream has a record that is not JSON");
    }
    if (event === "error") throw errorInAnswer(value, this.#provider, true);
    return this.#answer.read(value);
  }

  end(): GenerateEvent[] {
    if (this.#answer.isEmpty) throw this.#answer.broken("its stream ended without an answer");
    if (!this.#answer.isFinished) throw this.#answer.broken("its stream ended before the answer was complete");
    if (!this.done && !this.#endMarkOptional) throw this.#answer.broken("its stream ended without its end mark");
    return [];
  }

  abandon(): GenerateEvent[] {
    return this.#answer.abandon();
  }
}
