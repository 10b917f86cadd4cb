/** A whole `response` object, turned into the events it would have streamed. */
import type { GenerateEvent } from "../../core/event.ts";
import { type JsonValue, parseJson, upstreamJsonLimits } from "../../core/json.ts";
import { AnswerReader } from "./answer-reader.ts";

/** Throws GatewayError where the answer failed, is not JSON, or is not complete. */
export function readResponse(body: string, provider: string, state?: unknown): GenerateEvent[] {
  const answer = new AnswerReader(provider, state, false);
  let value: JsonValue;
  try {
    value = parseJson(body, upstreamJsonLimits);
  } catch {
    throw answer.broken("its answer is not JSON");
  }
  return answer.readWhole(value);
}
