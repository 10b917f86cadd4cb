/** Reads a whole message into the events that it would have streamed: the same builder, fed at once. */
import { CallState } from "../../core/call-state.ts";
import { GatewayError } from "../../core/error.ts";
import type { GenerateEvent } from "../../core/event.ts";
import { isJsonObject, JsonError, type JsonObject, type JsonValue, parseJson, upstreamJsonLimits } from "../../core/json.ts";
import { AnswerBuilder } from "./answer-builder.ts";
import { readErrorEvent } from "./read-error.ts";

/** Throws GatewayError for an error that claims success and for a body that is no message. */
export function readResponse(body: string, provider: string, state: unknown): GenerateEvent[] {
  const message = readMessage(body, provider);
  const answer = new AnswerBuilder(provider, state instanceof CallState ? state : new CallState());
  answer.start(message);
  (message.content as JsonValue[]).forEach((block, index) => {
    if (!isJsonObject(block)) throw unreadable(provider, "a content block that is no object");
    answer.startBlock(index, block);
    answer.endBlock(index);
  });
  answer.usage(message.usage);
  answer.finish({ stop_reason: message.stop_reason ?? null, stop_sequence: message.stop_sequence ?? null });
  answer.end();
  return answer.take();
}

function readMessage(body: string, provider: string): JsonObject {
  let message: JsonValue;
  try {
    message = parseJson(body, upstreamJsonLimits);
  } catch (error) {
    if (error instanceof JsonError) throw unreadable(provider, "an answer that is no JSON text");
    throw error;
  }
  if (!isJsonObject(message)) throw unreadable(provider, "an answer that is no JSON object");
  if (message.type === "error" || isJsonObject(message.error)) throw readErrorEvent(message, provider, false);
  if (!Array.isArray(message.content)) throw unreadable(provider, "an answer without content");
  return message;
}

function unreadable(provider: string, what: string): GatewayError {
  return new GatewayError("provider_error", `provider ${provider} sent ${what}`);
}
