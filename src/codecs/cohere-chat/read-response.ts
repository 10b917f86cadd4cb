/** Reads a whole answer into the events that it would have streamed: the same builder, fed at once. */
import { CallState } from "../../core/call-state.ts";
import { GatewayError } from "../../core/error.ts";
import type { GenerateEvent } from "../../core/event.ts";
import { isJsonObject, JsonError, type JsonObject, type JsonValue, parseJson, upstreamJsonLimits } from "../../core/json.ts";
import { textMember } from "../../core/members.ts";
import { AnswerBuilder } from "./answer-builder.ts";
import { contentIndexOf } from "./citations.ts";
import { readLogprobs } from "./logprobs.ts";
import { failedAnswer, readErrorRecord } from "./read-error.ts";
import { isFailure } from "./read-events.ts";
import { objectMember, unknownMembers } from "./wire.ts";

const responseKnown = new Set(["id", "message", "finish_reason", "usage", "logprobs"]);

/** Throws GatewayError for an error that claims success and for a body that is no answer. */
export function readResponse(body: string, provider: string, state: unknown): GenerateEvent[] {
  const reply = readReply(body, provider);
  const message = objectMember(reply, "message");
  const answer = new AnswerBuilder(provider, state instanceof CallState ? state : new CallState());
  answer.start(textMember(reply, "id"), unknownMembers(reply, responseKnown));
  writeContent(answer, reply, message);
  const plan = textMember(message, "tool_plan");
  if (plan !== "") {
    answer.growPlan(plan);
    for (const citation of objects(message.citations)) if (citation.type === "PLAN") answer.cite(citation);
  }
  objects(message.tool_calls).forEach((call, index) => {
    answer.startCall(index, call);
    answer.endCall(index);
  });
  answer.finish({ finish_reason: reply.finish_reason ?? null, usage: reply.usage ?? null });
  return answer.take();
}

function writeContent(answer: AnswerBuilder, reply: JsonObject, message: JsonObject): void {
  // Some models answer with plain text.
  const content: JsonObject[] = typeof message.content === "string" ? [{ type: "text", text: message.content }] : objects(message.content);
  const lastText = content.findLastIndex(({ type }) => type === "text");
  const citations = objects(message.citations).filter(({ type }) => type !== "PLAN");
  content.forEach((item, index) => {
    answer.startContent(index, item);
    // The answer has one list for all of its text.
    if (index === lastText) answer.growContent(index, {}, readLogprobs(reply.logprobs));
    for (const citation of citations) if ((contentIndexOf(citation) ?? lastText) === index) answer.cite(citation);
    answer.endContent(index);
  });
  const unplaced = citations.filter((citation) => (contentIndexOf(citation) ?? lastText) >= content.length || content.length === 0);
  for (const citation of unplaced) answer.cite(citation);
}

function readReply(body: string, provider: string): JsonObject {
  let reply: JsonValue;
  try {
    reply = parseJson(body, upstreamJsonLimits);
  } catch (error) {
    if (error instanceof JsonError) throw unreadable(provider, "an answer that is no JSON text");
    throw error;
  }
  if (!isJsonObject(reply)) throw unreadable(provider, "an answer that is no JSON object");
  if (isFailure(reply)) throw failedAnswer(reply, provider, false);
  if (isJsonObject(reply.message)) return reply;
  if (typeof reply.message === "string" || reply.error !== undefined) throw readErrorRecord(reply, provider, false);
  throw unreadable(provider, "an answer without a message");
}

function objects(value: JsonValue | undefined): JsonObject[] {
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}

function unreadable(provider: string, what: string): GatewayError {
  return new GatewayError("provider_error", `provider ${provider} sent ${what}`);
}
