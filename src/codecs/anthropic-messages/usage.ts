/**
 * Reads usage: counts that arrive in pieces, cumulative, where what is absent or null keeps its earlier value.
 * Anthropic counts cached input outside of `input_tokens`; the core counts it inside.
 */
import { create } from "@bufbuild/protobuf";
import { ServiceTier } from "../../../gen/dragoman/v1/call_pb.ts";
import { type CacheWrite, CacheWriteSchema, type Usage, UsageBasis, UsageSchema } from "../../../gen/dragoman/v1/usage_pb.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../core/json.ts";
import { sumCounts, tokenCount } from "../../core/usage.ts";
import { objectMember, unknownMembers } from "./wire.ts";

const tiers: Readonly<Record<string, ServiceTier>> = {
  standard: ServiceTier.STANDARD,
  priority: ServiceTier.PRIORITY,
  batch: ServiceTier.BATCH,
};

const cacheCreationLifetimes: Readonly<Record<string, number>> = {
  ephemeral_5m_input_tokens: 300,
  ephemeral_1h_input_tokens: 3600,
};

const known = new Set([
  "input_tokens",
  "output_tokens",
  "cache_read_input_tokens",
  "cache_creation_input_tokens",
  "cache_creation",
  "output_tokens_details",
  "server_tool_use",
  "service_tier",
  "speed",
]);

export class UsageReader {
  /** The last value of every member. */
  readonly #members: JsonObject = {};

  /** Takes one usage object; anything else says nothing. True where it said something. */
  read(usage: JsonValue | undefined): boolean {
    if (!isJsonObject(usage)) return false;
    for (const name of Object.keys(usage)) {
      const value = usage[name] as JsonValue;
      if (value !== null || this.#members[name] === undefined) this.#members[name] = value;
    }
    return true;
  }

  /** The counts so far. */
  usage(): Usage {
    const members = this.#members;
    const uncached = tokenCount(members.input_tokens);
    const cacheRead = tokenCount(members.cache_read_input_tokens);
    const cacheWrites = readCacheWrites(objectMember(members, "cache_creation"));
    const cacheWrite = tokenCount(members.cache_creation_input_tokens) ?? sumCounts(...cacheWrites.map(({ tokens }) => tokens));
    const usage = create(UsageSchema, {
      basis: UsageBasis.PROVIDER,
      cacheWrites,
      serverToolCalls: readServerToolCalls(objectMember(members, "server_tool_use")),
      serviceTier: readTier(members),
      extrasJson: unknownMembers(members, unknownTier(members) ? knownWithoutTier : known),
    });
    // Cached tokens alone are not the input: without input_tokens the total is not known.
    const input = uncached === undefined ? undefined : sumCounts(uncached, cacheRead, cacheWrite);
    if (input !== undefined) usage.inputTokens = input;
    const output = tokenCount(members.output_tokens);
    if (output !== undefined) usage.outputTokens = output;
    if (cacheRead !== undefined) usage.cacheReadTokens = cacheRead;
    if (cacheWrite !== undefined) usage.cacheWriteTokens = cacheWrite;
    const thinking = tokenCount(objectMember(members, "output_tokens_details")?.thinking_tokens);
    if (thinking !== undefined) usage.reasoningTokens = thinking;
    return usage;
  }
}

const knownWithoutTier = new Set([...known].filter((name) => name !== "service_tier"));

function unknownTier({ service_tier: tier }: JsonObject): boolean {
  return typeof tier === "string" && tiers[tier] === undefined;
}

function readTier({ service_tier: tier, speed }: JsonObject): ServiceTier {
  if (speed === "fast") return ServiceTier.FAST;
  return (typeof tier === "string" ? tiers[tier] : undefined) ?? ServiceTier.UNSPECIFIED;
}

/** Lifetimes with nothing written say nothing beside the total. */
function readCacheWrites(creation: JsonObject | undefined): CacheWrite[] {
  if (creation === undefined) return [];
  return Object.entries(cacheCreationLifetimes).flatMap(([name, ttlSeconds]) => {
    const tokens = tokenCount(creation[name]) ?? 0;
    return tokens > 0 ? [create(CacheWriteSchema, { ttlSeconds, tokens })] : [];
  });
}

function readServerToolCalls(uses: JsonObject | undefined): Record<string, number> {
  const calls: Record<string, number> = {};
  for (const [tool, value] of Object.entries(uses ?? {})) {
    const count = tokenCount(value) ?? 0;
    if (count > 0) calls[tool] = count;
  }
  return calls;
}
