/** A whole `chat.completion` reply, turned into the events it would have streamed. */
import type { GenerateEvent } from "../../core/event.ts";
import { type JsonValue, parseJson, upstreamJsonLimits } from "../../core/json.ts";
import { AnswerReader } from "./answer-reader.ts";
import type { OpenAiChatQuirks } from "./quirks.ts";

/** Throws GatewayError where the body is an error after all, is not JSON, or holds no answer. */
export function readResponse(body: string, provider: string, quirks: OpenAiChatQuirks, state?: unknown): GenerateEvent[] {
  const answer = new AnswerReader(provider, quirks, state, false);
  let value: JsonValue;
  try {
    value = parseJson(body, upstreamJsonLimits);
  } catch {
    throw answer.broken("its answer is not JSON");
  }
  const events = answer.read(value);
  if (answer.isEmpty) throw answer.broken("its answer has no choices");
  if (!answer.isFinished) throw answer.broken("its answer has no finish_reason");
  return events;
}
