/** Token counts as `usageMetadata`: thoughts stand beside the candidates' count, and totals are summed anew (contract.md 6). */
import type { Usage } from "../../../gen/dragoman/v1/usage_pb.ts";
import { mergeExtras, type Writable, type WritableObject } from "../../core/json.ts";
import { sumCounts } from "../../core/usage.ts";
import { formatName, serviceTiers } from "./wire.ts";

export function writeUsage(usage: Usage): WritableObject {
  const { inputTokens, outputTokens, reasoningTokens, toolUseInputTokens } = usage;
  const prompt = less(inputTokens, toolUseInputTokens);
  const candidates = less(outputTokens, reasoningTokens);
  const written: WritableObject = {
    promptTokenCount: prompt,
    candidatesTokenCount: candidates,
    totalTokenCount: sumCounts(inputTokens, outputTokens),
    cachedContentTokenCount: usage.cacheReadTokens,
    thoughtsTokenCount: reasoningTokens,
    toolUsePromptTokenCount: toolUseInputTokens,
  };
  mergeExtras(written, usage.extrasJson[formatName]);
  // A list of the API's own may name kinds that are not counted here.
  const { imageInputTokens: IMAGE, audioInputTokens: AUDIO, videoInputTokens: VIDEO } = usage;
  written.promptTokensDetails ??= writeDetails(prompt, { IMAGE, AUDIO, VIDEO });
  written.candidatesTokensDetails ??= writeDetails(candidates, { IMAGE: usage.imageOutputTokens, AUDIO: usage.audioOutputTokens });
  // The services have different names for the tier; a name of theirs is among the extras.
  if (written.trafficType === undefined) written.serviceTier ??= serviceTiers[usage.serviceTier];
  return written;
}

function less(total: number | undefined, part = 0): number | undefined {
  return total === undefined ? undefined : Math.max(total - part, 0);
}

/** One entry per kind of content, text being the rest; undefined where nothing but the total is known. */
function writeDetails(total: number | undefined, counts: Readonly<Record<string, number | undefined>>): Writable {
  const known = Object.entries(counts).filter(([, count]) => count !== undefined);
  if (known.length === 0) return undefined;
  const details = known.map(([modality, tokenCount]) => ({ modality, tokenCount }));
  const rest = (total ?? 0) - (sumCounts(...known.map(([, count]) => count)) ?? 0);
  return rest > 0 ? [{ modality: "TEXT", tokenCount: rest }, ...details] : details;
}
