/** The vectors of a reply, in input order. */
import { create } from "@bufbuild/protobuf";
import {
  type Embedding,
  EmbeddingType,
  type EmbedRequest,
  type EmbedResponse,
  EmbedResponseSchema,
} from "../../../gen/dragoman/v1/embed_pb.ts";
import { type Usage, UsageBasis, UsageSchema } from "../../../gen/dragoman/v1/usage_pb.ts";
import type { GatewayError } from "../../core/error.ts";
import {
  isJsonObject,
  type JsonObject,
  type JsonValue,
  parseJson,
  upstreamJsonLimits,
  type Writable,
  type WritableObject,
  writeJson,
} from "../../core/json.ts";
import { errorWords, upstreamError } from "../../core/upstream-error.ts";
import { tokenCount } from "../../core/usage.ts";
import { readVector } from "./vector.ts";
import { format } from "./wire.ts";

/**
 * Throws provider_error where the reply is an error, holds another number of vectors than were asked for, one index
 * twice, vectors of different lengths, or of another length than asked for.
 */
export function readResponse(body: string, request: EmbedRequest, provider: string): EmbedResponse {
  const reply = parse(body, provider);
  if (!isJsonObject(reply)) throw broken(provider, "its answer is no JSON object");
  if ((reply.error ?? null) !== null || reply.object === "error") throw upstreamError({ provider, status: 200, ...errorWords(reply) });
  const response = create(EmbedResponseSchema, { provider, requestedModel: request.model });
  response.embeddings = readEmbeddings(reply.data, request, provider);
  response.dimensions = response.embeddings[0]?.values.length ?? 0;
  if (typeof reply.model === "string") response.servedModel = reply.model;
  if (typeof reply.id === "string") response.upstreamId = reply.id;
  if (isJsonObject(reply.usage)) response.usage = readUsage(reply.usage);
  const unknown = unknownMembers(reply, ["object", "data", "model", "usage", "id", "error"]);
  if (unknown !== undefined) response.extrasJson[format] = unknown;
  return response;
}

function parse(body: string, provider: string): JsonValue {
  try {
    return parseJson(body, upstreamJsonLimits);
  } catch {
    throw broken(provider, "its answer is not JSON");
  }
}

function readEmbeddings(data: JsonValue | undefined, request: EmbedRequest, provider: string): Embedding[] {
  if (!Array.isArray(data)) throw broken(provider, "its answer has no list of vectors");
  const count = request.inputs.length;
  if (data.length !== count) throw broken(provider, `it gave ${data.length} vectors for ${count} inputs`);
  const embeddings: (Embedding | undefined)[] = Array.from({ length: count });
  data.forEach((entry, position) => {
    const values = isJsonObject(entry) ? readVector(entry.embedding) : undefined;
    if (values === undefined || !isJsonObject(entry)) throw broken(provider, `vector ${position} of its answer is none`);
    const index = typeof entry.index === "number" ? entry.index : position;
    if (!Number.isInteger(index) || index < 0 || index >= count) throw broken(provider, `it gave a vector for input ${index} of ${count}`);
    if (embeddings[index] !== undefined) throw broken(provider, `it gave two vectors for input ${index}`);
    embeddings[index] = { $typeName: "dragoman.v1.Embedding", index, type: EmbeddingType.FLOAT, values, packed: new Uint8Array() };
  });
  const all = embeddings.filter((embedding) => embedding !== undefined);
  const length = request.dimensions ?? all[0]?.values.length;
  const odd = all.find(({ values }) => values.length !== length);
  if (odd !== undefined) throw broken(provider, `vector ${odd.index} has ${odd.values.length} values, not ${length}`);
  return all;
}

/** The usage object of a reply. */
export function readUsage(usage: JsonObject): Usage {
  const inputTokens = tokenCount(usage.prompt_tokens) ?? tokenCount(usage.total_tokens);
  const read = create(UsageSchema, { basis: UsageBasis.PROVIDER, ...(inputTokens === undefined ? {} : { inputTokens }) });
  const unknown = unknownMembers(usage, ["prompt_tokens", "total_tokens"]);
  if (unknown !== undefined) read.extrasJson[format] = unknown;
  return read;
}

function unknownMembers(object: JsonObject, known: readonly string[]): string | undefined {
  const unknown: WritableObject = {};
  for (const key of Object.keys(object)) if (!known.includes(key) && object[key] !== null) unknown[key] = object[key] as Writable;
  return Object.keys(unknown).length === 0 ? undefined : writeJson(unknown);
}

function broken(provider: string, message: string): GatewayError {
  return upstreamError({ provider, status: 200, message, reason: "provider_error", retryable: true });
}
