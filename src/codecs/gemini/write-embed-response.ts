/** Vectors as the replies of `embedContent` and `batchEmbedContents`. Only vectors of floats have a form here. */
import { type Embedding, EmbeddingType, type EmbedResponse } from "../../../gen/dragoman/v1/embed_pb.ts";
import { mergeExtras, type WritableObject, writeJson } from "../../core/json.ts";
import { formatName } from "./wire.ts";

/** JSON text: `{embedding}`. */
export function writeEmbedResponse(response: EmbedResponse): string {
  return writeReply({ embedding: writeEmbeddings(response)[0] }, response);
}

/** JSON text: `{embeddings}`, in the order of the requests. */
export function writeBatchEmbedResponse(response: EmbedResponse): string {
  return writeReply({ embeddings: writeEmbeddings(response) }, response);
}

function writeReply(reply: WritableObject, { usage, settled, extrasJson }: EmbedResponse): string {
  const counted = usage ?? settled?.usage;
  if (counted?.inputTokens !== undefined) {
    const metadata: WritableObject = { promptTokenCount: counted.inputTokens, totalTokenCount: counted.inputTokens };
    mergeExtras(metadata, counted.extrasJson[formatName]);
    reply.usageMetadata = metadata;
  }
  mergeExtras(reply, extrasJson[formatName]);
  return writeJson(reply);
}

function writeEmbeddings({ embeddings }: EmbedResponse): WritableObject[] {
  return embeddings
    .filter(({ type }) => type === EmbeddingType.FLOAT || type === EmbeddingType.UNSPECIFIED)
    .map(({ values, inputTokens, truncated }: Embedding) => ({
      values,
      // Vertex AI says what each input cost.
      statistics: inputTokens === undefined && truncated === undefined ? undefined : { tokenCount: inputTokens, truncated },
    }));
}
