/** xAI's gRPC format, upstream half: chat completions and embeddings. Its records are messages, not text. */
import type { GetChatCompletionChunk, GetChatCompletionResponse, GetCompletionsRequest } from "../../../gen/xai/api/v1/chat_pb.ts";
import type { MessageCodec } from "../../core/message-codec.ts";
import { XaiEventReader } from "./read-events.ts";
import { readResponse } from "./read-response.ts";
import { formatName } from "./wire.ts";
import { takesUrl } from "./write-content.ts";
import { writeRequest } from "./write-request.ts";

export { readEmbedResponse, writeEmbedRequest } from "./embed.ts";
export { maxEmbedInputs } from "./wire.ts";

export function createXaiCodec(): MessageCodec<GetCompletionsRequest, GetChatCompletionChunk, GetChatCompletionResponse> {
  return {
    format: formatName,
    takesUrl,
    writeRequest,
    eventReader: (provider, state) => new XaiEventReader(provider, state),
    readResponse,
  };
}
