/**
 * Reads `streamGenerateContent?alt=sse`: each record is one chunk of the answer. There is no end mark: the connection
 * closes, and an answer is whole if a chunk named a finish reason.
 */
import type { EventReader } from "../../core/dialect.ts";
import type { GenerateEvent } from "../../core/event.ts";
import { JsonError, type JsonValue, parseJson, upstreamJsonLimits } from "../../core/json.ts";
import type { Frame } from "../../core/sse.ts";
import { AnswerReader, unreadable } from "./answer-reader.ts";

export class GeminiEventReader implements EventReader {
  /** A finish reason may come before the last content, so only the end of the connection is the end. */
  readonly done = false;
  readonly #answer: AnswerReader;
  readonly #provider: string;

  constructor(provider: string, state?: unknown) {
    this.#provider = provider;
    this.#answer = new AnswerReader(provider, state, true);
  }

  read({ data }: Frame): GenerateEvent[] {
    if (data.trim() === "") return [];
    this.#answer.read(parseBody(data, this.#provider));
    return this.#answer.take();
  }

  end(): GenerateEvent[] {
    this.#answer.end();
    return this.#answer.take();
  }

  abandon(): GenerateEvent[] {
    this.#answer.abandon();
    return this.#answer.take();
  }
}

/** Throws provider_error for what is no JSON text. */
export function parseBody(text: string, provider: string): JsonValue {
  try {
    return parseJson(text, upstreamJsonLimits);
  } catch (error) {
    if (error instanceof JsonError) throw unreadable(provider, "an answer that is no JSON text");
    throw error;
  }
}
