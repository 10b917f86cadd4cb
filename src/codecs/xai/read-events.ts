/** Reads the chunks of GetCompletionChunk. The answer is complete when the status is OK. */
import type { GetChatCompletionChunk } from "../../../gen/xai/api/v1/chat_pb.ts";
import type { GenerateEvent } from "../../core/event.ts";
import type { MessageReader } from "../../core/message-codec.ts";
import { AnswerReader, readUsageOf } from "./answer-reader.ts";

export class XaiEventReader implements MessageReader<GetChatCompletionChunk> {
  readonly #answer: AnswerReader;

  constructor(provider: string, state?: unknown) {
    this.#answer = new AnswerReader(provider, state);
  }

  read(chunk: GetChatCompletionChunk): GenerateEvent[] {
    this.#answer.start(chunk);
    for (const { index, delta, logprobs, finishReason } of chunk.outputs)
      this.#answer.output({ index, content: delta, logprobs, finishReason });
    this.#answer.pages(chunk.citations);
    readUsageOf(this.#answer, chunk.usage);
    this.#answer.debugOutput(chunk.debugOutput);
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
