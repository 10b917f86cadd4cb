/** Replies of `embedContent` (`{embedding}`) and `batchEmbedContents` (`{embeddings}`). */
import { create } from "@bufbuild/protobuf";
import {
  type Embedding,
  EmbeddingSchema,
  EmbeddingType,
  type EmbedRequest,
  type EmbedResponse,
  EmbedResponseSchema,
} from "../../../gen/dragoman/v1/embed_pb.ts";
import { type Usage, UsageBasis, UsageSchema } from "../../../gen/dragoman/v1/usage_pb.ts";
import { isJsonObject, type JsonObject } from "../../core/json.ts";
import { objectMember, objectsMember, textMember } from "../../core/members.ts";
import { sumCounts, tokenCount } from "../../core/usage.ts";
import { unreadable } from "./answer-reader.ts";
import { isErrorRecord, readErrorRecord } from "./read-error.ts";
import { parseBody } from "./read-events.ts";
import { UsageReader } from "./usage.ts";
import { extrasOf, unknownMembers } from "./wire.ts";

const knownMembers: ReadonlySet<string> = new Set(["embedding", "embeddings", "usageMetadata", "modelVersion"]);

/** Usage is undefined where the service does not count. Throws GatewayError for an error and for a wrong number of vectors. */
export function readEmbedResponse(body: string, request: EmbedRequest, provider: string): EmbedResponse {
  const reply = parseBody(body, provider);
  if (isErrorRecord(reply)) throw readErrorRecord(reply, provider, false);
  if (!isJsonObject(reply)) throw unreadable(provider, "embeddings that are no JSON object");
  const single = objectMember(reply, "embedding");
  const vectors = single === undefined ? objectsMember(reply, "embeddings") : [single];
  if (vectors.length !== request.inputs.length) {
    throw unreadable(provider, `${vectors.length} embeddings for ${request.inputs.length} inputs`);
  }
  const embeddings = vectors.map((vector, index) => readEmbedding(vector, index, provider));
  const usage = readUsage(reply, embeddings);
  return create(EmbedResponseSchema, {
    embeddings,
    servedModel: textMember(reply, "modelVersion"),
    provider,
    dimensions: embeddings[0]?.values.length ?? 0,
    extrasJson: extrasOf(unknownMembers(reply, knownMembers)),
    ...(usage === undefined ? {} : { usage }),
  });
}

function readEmbedding(vector: JsonObject, index: number, provider: string): Embedding {
  const { values } = vector;
  if (!Array.isArray(values) || values.length === 0) throw unreadable(provider, "an embedding without values");
  const numbers = values.map((value) => {
    if (typeof value !== "number") throw unreadable(provider, "an embedding whose values are no numbers");
    return value;
  });
  const statistics = objectMember(vector, "statistics") ?? {};
  const inputTokens = tokenCount(statistics.tokenCount);
  const { truncated } = statistics;
  return create(EmbeddingSchema, {
    index,
    type: EmbeddingType.FLOAT,
    values: numbers,
    ...(inputTokens === undefined ? {} : { inputTokens }),
    ...(typeof truncated === "boolean" ? { truncated } : {}),
  });
}

/** The call's counts, else the sum of the inputs' own where each has one. */
function readUsage(reply: JsonObject, embeddings: readonly Embedding[]): Usage | undefined {
  const reader = new UsageReader();
  reader.read(objectMember(reply, "usageMetadata") ?? {});
  const said = reader.usage();
  if (said !== undefined) {
    delete said.outputTokens;
    return said;
  }
  if (embeddings.some(({ inputTokens }) => inputTokens === undefined)) return undefined;
  const inputTokens = sumCounts(...embeddings.map(({ inputTokens }) => inputTokens));
  return inputTokens === undefined ? undefined : create(UsageSchema, { inputTokens, basis: UsageBasis.PROVIDER });
}
