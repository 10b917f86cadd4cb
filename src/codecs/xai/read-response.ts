/** A whole reply of GetCompletion as the events that it would have streamed. */
import { type GetChatCompletionResponse, RequestSettingsSchema } from "../../../gen/xai/api/v1/chat_pb.ts";
import type { GenerateEvent } from "../../core/event.ts";
import { AnswerReader, readUsageOf } from "./answer-reader.ts";
import { messageText } from "./json-message.ts";
import { formatName } from "./wire.ts";

export function readResponse(reply: GetChatCompletionResponse, provider: string, state?: unknown): GenerateEvent[] {
  const answer = new AnswerReader(provider, state);
  const { settings } = reply;
  answer.start(reply, settings === undefined ? {} : { [formatName]: `{"settings":${messageText(RequestSettingsSchema, settings)}}` });
  for (const { index, message, logprobs, finishReason } of reply.outputs)
    answer.output({ index, content: message, logprobs, finishReason });
  answer.pages(reply.citations);
  readUsageOf(answer, reply.usage);
  answer.debugOutput(reply.debugOutput);
  answer.end();
  return answer.take();
}
