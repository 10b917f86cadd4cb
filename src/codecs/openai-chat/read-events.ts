/** The frames of a chat completion stream, read into events (contract.md 4, Chat reader). */
import type { EventReader } from "../../core/dialect.ts";
import type { GenerateEvent } from "../../core/event.ts";
import { type JsonValue, parseJson, upstreamJsonLimits } from "../../core/json.ts";
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

/** What JSON.parse would not keep as it is: long numbers, and keys that JavaScript sorts before others. */
const hazards = /\d{16}|"\d+"\s*:/;
/** Longer frames may nest deeper than a recursive writer can follow. */
const maxPlainLength = 4096;

/** Most frames are short and plain, and JSON.parse is several times faster; undefined where the text is not JSON. */
function readFrame(text: string): JsonValue | undefined {
  try {
    if (text.length <= maxPlainLength && !hazards.test(text)) return JSON.parse(text) as JsonValue;
    return parseJson(text, upstreamJsonLimits);
  } catch {
    return undefined;
  }
}
