/**
 * Usage, read and written. Counts arrive in pieces, cumulative, where what is absent or null keeps its earlier value.
 * Anthropic counts cached input outside of `input_tokens`; the core counts it inside.
 */
import { create } from "@bufbuild/protobuf";
import { ServiceTier } from "../../../gen/dragoman/v1/call_pb.ts";
import { type CacheWrite, CacheWriteSchema, type Usage, UsageBasis, UsageSchema } from "../../../gen/dragoman/v1/usage_pb.ts";
import { isJsonObject, type JsonObject, type JsonValue, mergeExtras, type Writable, type WritableObject } from "../../core/json.ts";
import { objectMember } from "../../core/members.ts";
import { sumCounts, tokenCount } from "../../core/usage.ts";
import { formatName, unknownMembers } from "./wire.ts";

const tiers: Readonly<Record<string, ServiceTier>> = {
  standard: ServiceTier.STANDARD,
  priority: ServiceTier.PRIORITY,
  batch: ServiceTier.BATCH,
};

const cacheCreationLifetimes = { ephemeral_5m_input_tokens: 300, ephemeral_1h_input_tokens: 3600 } as const;

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
      extrasJson: unknownMembers(members, knownOf(members)),
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

/** A tier or speed without a word in the core is kept as it is. */
function knownOf({ service_tier: tier, speed }: JsonObject): ReadonlySet<string> {
  const isTierKnown = typeof tier !== "string" || tiers[tier] !== undefined;
  const isSpeedKnown = typeof speed !== "string" || speed === "fast";
  if (isTierKnown && isSpeedKnown) return known;
  return new Set([...known].filter((name) => (isTierKnown || name !== "service_tier") && (isSpeedKnown || name !== "speed")));
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

/** Members of a whole usage object that the API never leaves out; null: nothing to say. */
const nullable = ["cache_creation", "inference_geo", "output_tokens_details", "server_tool_use", "service_tier", "speed"] as const;

/** Usage of a message, every member there: counts that nobody knows are 0. */
export function writeUsage(usage: Usage | undefined): WritableObject {
  const written: WritableObject = {
    input_tokens: uncachedInput(usage) ?? 0,
    cache_creation_input_tokens: usage?.cacheWriteTokens ?? 0,
    cache_read_input_tokens: usage?.cacheReadTokens ?? 0,
    cache_creation: writeCacheCreation(usage),
    output_tokens: usage?.outputTokens ?? 0,
    output_tokens_details: writeOutputDetails(usage),
    server_tool_use: writeServerToolCalls(usage),
    ...writeTier(usage?.serviceTier),
  };
  mergeExtras(written, usage?.extrasJson[formatName]);
  for (const name of nullable) written[name] ??= null;
  return written;
}

/**
 * Usage at the end of a stream: what is known. `isFirst`: the start of the message could not say anything, so that here is
 * also what the API says only there.
 */
export function writeFinalUsage(usage: Usage | undefined, isFirst: boolean): WritableObject {
  const written: WritableObject = {
    input_tokens: uncachedInput(usage) ?? null,
    cache_creation_input_tokens: usage?.cacheWriteTokens ?? null,
    cache_read_input_tokens: usage?.cacheReadTokens ?? null,
    output_tokens: usage?.outputTokens ?? 0,
    output_tokens_details: writeOutputDetails(usage),
    server_tool_use: writeServerToolCalls(usage),
  };
  if (isFirst && usage !== undefined) {
    if (usage.cacheWrites.length > 0) written.cache_creation = writeCacheCreation(usage);
    Object.assign(written, writeTier(usage.serviceTier));
  }
  mergeExtras(written, usage?.extrasJson[formatName]);
  return written;
}

function uncachedInput(usage: Usage | undefined): number | undefined {
  if (usage?.inputTokens === undefined) return undefined;
  return Math.max(0, usage.inputTokens - (usage.cacheReadTokens ?? 0) - (usage.cacheWriteTokens ?? 0));
}

/** Undefined where tokens were written with a lifetime that nobody said, or that the API does not have. */
function writeCacheCreation(usage: Usage | undefined): Writable {
  const writes = usage?.cacheWrites ?? [];
  const offered: readonly number[] = Object.values(cacheCreationLifetimes);
  if (writes.some(({ ttlSeconds }) => !offered.includes(ttlSeconds))) return undefined;
  if (writes.length === 0 && (usage?.cacheWriteTokens ?? 0) > 0) return undefined;
  return Object.fromEntries(
    Object.entries(cacheCreationLifetimes).map(([name, lifetime]) => [
      name,
      sumCounts(0, ...writes.filter(({ ttlSeconds }) => ttlSeconds === lifetime).map(({ tokens }) => tokens)),
    ]),
  );
}

function writeOutputDetails(usage: Usage | undefined): Writable {
  return usage?.reasoningTokens === undefined ? undefined : { thinking_tokens: usage.reasoningTokens };
}

/** The two that the API always names, and whatever else was called. */
function writeServerToolCalls(usage: Usage | undefined): Writable {
  const calls = usage?.serverToolCalls ?? {};
  if (Object.keys(calls).length === 0) return undefined;
  return { web_search_requests: 0, web_fetch_requests: 0, ...calls };
}

function writeTier(tier: ServiceTier | undefined): WritableObject {
  if (tier === ServiceTier.FAST) return { service_tier: "standard", speed: "fast" };
  return { service_tier: Object.keys(tiers).find((word) => tiers[word] === tier) };
}
