/** Reads a whole answer into the events that it would have streamed: the same builder, fed at once. */
import { GatewayError } from "../../core/error.ts";
import type { GenerateEvent } from "../../core/event.ts";
import { isJsonObject, JsonError, type JsonObject, type JsonValue, parseJson, upstreamJsonLimits } from "../../core/json.ts";
import { objectMember, textMember } from "../../core/members.ts";
import { AnswerBuilder } from "./answer-builder.ts";
import { ConverseCallState } from "./call-state.ts";
import { readCited } from "./citations.ts";
import { isError, readErrorObject } from "./read-error.ts";

/** Throws GatewayError for an error that claims success and for a body that is no answer. */
export function readResponse(body: string, provider: string, state: unknown): GenerateEvent[] {
  const response = parseBody(body, provider);
  const message = objectMember(objectMember(response, "output") ?? {}, "message");
  if (message === undefined || !Array.isArray(message.content)) throw unreadable(provider, "an answer without a message");
  const answer = new AnswerBuilder(provider, state instanceof ConverseCallState ? state : new ConverseCallState());
  const { content, ...envelope } = message;
  answer.start(envelope);
  content.forEach((block, index) => {
    if (!isJsonObject(block)) throw unreadable(provider, "a content block that is no object");
    readBlock(answer, index, block);
    answer.endBlock(index);
  });
  const { additionalModelResponseFields } = response;
  answer.finish({
    stopReason: response.stopReason ?? null,
    ...(additionalModelResponseFields === undefined ? {} : { additionalModelResponseFields }),
  });
  answer.metadata(response);
  return answer.take();
}

function readBlock(answer: AnswerBuilder, index: number, block: JsonObject): void {
  const cited = objectMember(block, "citationsContent");
  const reasoning = objectMember(block, "reasoningContent");
  const tool = objectMember(block, "toolUse");
  const image = objectMember(block, "image");
  if (typeof block.text === "string") answer.text(index, block.text);
  else if (cited !== undefined) {
    answer.text(index, readCited(cited));
    answer.cite(index, Array.isArray(cited.citations) ? cited.citations : []);
  } else if (reasoning !== undefined) {
    const shown = objectMember(reasoning, "reasoningText");
    if (typeof reasoning.redactedContent === "string") answer.redacted(index, reasoning.redactedContent);
    else answer.reasoning(index, textMember(shown ?? {}, "text"), textMember(shown ?? {}, "signature"));
  } else if (tool !== undefined && textMember(tool, "type") === "") {
    answer.startBlock(index, { toolUse: tool });
    answer.input(index, tool.input);
  } else if (image !== undefined) {
    answer.startBlock(index, block);
    answer.image(index, image);
  } else answer.startBlock(index, block);
}

/** A body that claims success. Throws GatewayError where it is an error, or no JSON object. */
export function parseBody(body: string, provider: string): JsonObject {
  let value: JsonValue;
  try {
    value = parseJson(body, upstreamJsonLimits);
  } catch (error) {
    if (error instanceof JsonError) throw unreadable(provider, "an answer that is no JSON text");
    throw error;
  }
  if (!isJsonObject(value)) throw unreadable(provider, "an answer that is no JSON object");
  if (isError(value)) throw readErrorObject(value, "", provider, false);
  return value;
}

function unreadable(provider: string, what: string): GatewayError {
  return new GatewayError("provider_error", `provider ${provider} sent ${what}`);
}
