/** Vectors by type: `{id, embeddings: {float: [...], int8: [...]}, meta: {billed_units}}`. */
import { create } from "@bufbuild/protobuf";
import {
  type Embedding,
  EmbeddingSchema,
  EmbeddingType,
  type EmbedRequest,
  type EmbedResponse,
  EmbedResponseSchema,
} from "../../../gen/dragoman/v1/embed_pb.ts";
import { GatewayError } from "../../core/error.ts";
import { isJsonObject, JsonError, type JsonObject, type JsonValue, parseJson, upstreamJsonLimits } from "../../core/json.ts";
import { textMember } from "../../core/members.ts";
import { readErrorRecord } from "./read-error.ts";
import { readUsage } from "./usage.ts";
import { objectMember, unknownMembers } from "./wire.ts";
import { typeName, typesOf } from "./write-embed.ts";

/** `texts` and `images` repeat the request. */
const known = new Set(["id", "embeddings", "texts", "images", "meta", "response_type"]);

/** One embedding per input and type, in input order. Throws GatewayError for an error and for a wrong number of vectors. */
export function readEmbedResponse(body: string, request: EmbedRequest, provider: string): EmbedResponse {
  const reply = readReply(body, provider);
  const vectors = objectMember(reply, "embeddings");
  const types = typesOf(request);
  const lists = types.map((type) => readList(vectors, type, request.inputs.length, provider));
  const embeddings = request.inputs.flatMap((_, index) => lists.map((list) => list[index] as Embedding));
  for (const [at, embedding] of embeddings.entries()) embedding.index = Math.floor(at / types.length);
  const usage = readUsage(countsOf(reply));
  delete usage?.outputTokens;
  const dimensions = embeddings.find(({ values }) => values.length > 0)?.values.length ?? 0;
  return create(EmbedResponseSchema, {
    embeddings,
    provider,
    upstreamId: textMember(reply, "id"),
    dimensions,
    extrasJson: unknownMembers(reply, known),
    ...(usage?.inputTokens === undefined ? {} : { usage }),
  });
}

/** The members of `meta` that count; the others are versions and warnings. */
function countsOf({ meta }: JsonObject): JsonObject | undefined {
  if (!isJsonObject(meta)) return undefined;
  const counts: JsonObject = {};
  for (const name of ["billed_units", "tokens", "cached_tokens"]) if (meta[name] !== undefined) counts[name] = meta[name];
  return counts;
}

function readList(vectors: JsonObject, type: EmbeddingType, count: number, provider: string): Embedding[] {
  const list = vectors[typeName(type)];
  if (!Array.isArray(list) || list.length !== count) {
    const found = Array.isArray(list) ? `${list.length}` : "no";
    throw unreadable(provider, `${found} embeddings of type ${typeName(type)} for ${count} inputs`);
  }
  return list.map((vector) => readVector(vector, type, provider));
}

function readVector(vector: JsonValue, type: EmbeddingType, provider: string): Embedding {
  if (!Array.isArray(vector) || vector.length === 0 || !vector.every((value) => typeof value === "number")) {
    throw unreadable(provider, "an embedding that is no list of numbers");
  }
  if (type === EmbeddingType.FLOAT) return create(EmbeddingSchema, { type, values: vector });
  // Signed bytes are kept in two's complement, as the contract has them.
  return create(EmbeddingSchema, { type, packed: Uint8Array.from(vector) });
}

function readReply(body: string, provider: string): JsonObject {
  let reply: JsonValue;
  try {
    reply = parseJson(body, upstreamJsonLimits);
  } catch (error) {
    if (error instanceof JsonError) throw unreadable(provider, "embeddings that are no JSON text");
    throw error;
  }
  if (!isJsonObject(reply)) throw unreadable(provider, "embeddings that are no JSON object");
  if (isJsonObject(reply.embeddings)) return reply;
  if (typeof reply.message === "string" || reply.error !== undefined) throw readErrorRecord(reply, provider, false);
  throw unreadable(provider, "an answer without embeddings");
}

function unreadable(provider: string, what: string): GatewayError {
  return new GatewayError("provider_error", `provider ${provider} sent ${what}`);
}
