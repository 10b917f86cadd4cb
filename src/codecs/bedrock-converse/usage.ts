/**
 * Reads usage. Bedrock counts cached input outside of `inputTokens`; the core counts it inside.
 * https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html
 */
import { create } from "@bufbuild/protobuf";
import { ServiceTier } from "../../../gen/dragoman/v1/call_pb.ts";
import { type CacheWrite, CacheWriteSchema, type Usage, UsageBasis, UsageSchema } from "../../../gen/dragoman/v1/usage_pb.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../core/json.ts";
import { objectMember } from "../../core/members.ts";
import { sumCounts, tokenCount } from "../../core/usage.ts";
import { cacheLifetimes, unknownMembers } from "./wire.ts";

const tiers: Readonly<Record<string, ServiceTier>> = {
  default: ServiceTier.STANDARD,
  flex: ServiceTier.FLEX,
  priority: ServiceTier.PRIORITY,
  reserved: ServiceTier.RESERVED,
};

const known = new Set(["inputTokens", "outputTokens", "totalTokens", "cacheReadInputTokens", "cacheWriteInputTokens", "cacheDetails"]);

/** `answer` holds `usage` and, beside it, what served the call. Undefined where it says nothing of usage. */
export function readUsage(answer: JsonObject): Usage | undefined {
  const counts = objectMember(answer, "usage");
  if (counts === undefined) return undefined;
  const uncached = tokenCount(counts.inputTokens);
  const cacheRead = tokenCount(counts.cacheReadInputTokens);
  const cacheWrites = readCacheWrites(counts.cacheDetails);
  const cacheWrite = tokenCount(counts.cacheWriteInputTokens) ?? sumCounts(...cacheWrites.map(({ tokens }) => tokens));
  const usage = create(UsageSchema, {
    basis: UsageBasis.PROVIDER,
    cacheWrites,
    serviceTier: readTier(answer),
    extrasJson: unknownMembers(counts, known),
  });
  // Cached tokens alone are not the input: without inputTokens the total is not known.
  const input = uncached === undefined ? undefined : sumCounts(uncached, cacheRead, cacheWrite);
  if (input !== undefined) usage.inputTokens = input;
  const output = tokenCount(counts.outputTokens);
  if (output !== undefined) usage.outputTokens = output;
  if (cacheRead !== undefined) usage.cacheReadTokens = cacheRead;
  if (cacheWrite !== undefined) usage.cacheWriteTokens = cacheWrite;
  return usage;
}

function readTier(answer: JsonObject): ServiceTier {
  const type = objectMember(answer, "serviceTier")?.type;
  const tier = typeof type === "string" && Object.hasOwn(tiers, type) ? tiers[type] : undefined;
  if (tier !== undefined) return tier;
  return objectMember(answer, "performanceConfig")?.latency === "optimized" ? ServiceTier.FAST : ServiceTier.UNSPECIFIED;
}

function readCacheWrites(details: JsonValue | undefined): CacheWrite[] {
  if (!Array.isArray(details)) return [];
  return details.flatMap((detail) => {
    if (!isJsonObject(detail)) return [];
    const ttlSeconds = cacheLifetimes.find(({ ttl }) => ttl === detail.ttl)?.seconds;
    const tokens = tokenCount(detail.inputTokens) ?? 0;
    return ttlSeconds === undefined || tokens === 0 ? [] : [create(CacheWriteSchema, { ttlSeconds, tokens })];
  });
}
