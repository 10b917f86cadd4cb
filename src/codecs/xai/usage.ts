/** Token counts (contract.md 6): reasoning stands outside completion tokens, cached prompt tokens inside prompt tokens. */
import { create } from "@bufbuild/protobuf";
import { type Usage, UsageBasis, UsageSchema } from "../../../gen/dragoman/v1/usage_pb.ts";
import { type SamplingUsage, ServerSideTool } from "../../../gen/xai/api/v1/usage_pb.ts";
import { sumCounts, tokenCount } from "../../core/usage.ts";
import { formatName } from "./wire.ts";

/** A tick is a ten-thousand-millionth of a dollar: a tenth of a nano-dollar. */
const ticksPerNanoUsd = 10n;

const toolNames: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(ServerSideTool).map(([name, value]) => [value, name.toLowerCase()]),
);

/** Counts that make no sense are absent. */
export function readUsage(usage: SamplingUsage): Usage {
  const reasoning = tokenCount(usage.reasoningTokens);
  const counts = {
    inputTokens: tokenCount(usage.promptTokens),
    outputTokens: sumCounts(tokenCount(usage.completionTokens), reasoning),
    reasoningTokens: reasoning,
    cacheReadTokens: tokenCount(usage.cachedPromptTextTokens),
    imageInputTokens: tokenCount(usage.promptImageTokens),
  };
  const serverToolCalls: Record<string, number> = {};
  for (const tool of usage.serverSideToolsUsed) {
    const name = toolNames[tool] ?? String(tool);
    serverToolCalls[name] = (serverToolCalls[name] ?? 0) + 1;
  }
  const read = create(UsageSchema, { basis: UsageBasis.PROVIDER, serverToolCalls });
  for (const [name, count] of Object.entries(counts)) if (count !== undefined) read[name as keyof typeof counts] = count;
  const ticks = usage.costInUsdTicks;
  if (ticks !== undefined && ticks >= 0n) read.providerCostNanoUsd = (ticks + ticksPerNanoUsd / 2n) / ticksPerNanoUsd;
  if (usage.numSourcesUsed > 0) read.extrasJson[formatName] = `{"num_sources_used":${usage.numSourcesUsed}}`;
  return read;
}
