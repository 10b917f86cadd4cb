/** Vectors as OpenAI's list of embeddings. */
import type { EmbedResponse } from "../../../gen/dragoman/v1/embed_pb.ts";
import { EmbeddingType } from "../../../gen/dragoman/v1/embed_pb.ts";
import { mergeExtras, type Writable, type WritableObject, writeJson } from "../../core/json.ts";
import { encodeVector } from "./vector.ts";
import { type Encoding, format } from "./wire.ts";

/** JSON text; vectors in input order. Only float vectors have a form here. */
export function writeResponse(response: EmbedResponse, encoding: Encoding): string {
  const data: Writable[] = [];
  for (const { index, type, values } of response.embeddings) {
    if (type !== EmbeddingType.FLOAT && type !== EmbeddingType.UNSPECIFIED) continue;
    data.push({ object: "embedding", index, embedding: encoding === "base64" ? encodeVector(values) : values });
  }
  const tokens = response.usage?.inputTokens ?? response.settled?.usage?.inputTokens ?? 0;
  const usage: WritableObject = { prompt_tokens: tokens, total_tokens: tokens };
  mergeExtras(usage, response.usage?.extrasJson[format]);
  const written: WritableObject = { object: "list", data, model: response.servedModel || response.requestedModel, usage };
  mergeExtras(written, response.extrasJson[format]);
  return writeJson(written);
}
