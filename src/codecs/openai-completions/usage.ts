/** Token counts of an answer, as in Chat Completions. */
import type { Usage } from "../../../gen/dragoman/v1/usage_pb.ts";
import type { WritableObject } from "../../core/json.ts";

/** Counts that nobody knows are 0. */
export function writeUsage(usage: Usage | undefined): WritableObject {
  const prompt = usage?.inputTokens ?? 0;
  const completion = usage?.outputTokens ?? 0;
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: details({ cached_tokens: usage?.cacheReadTokens, cache_write_tokens: usage?.cacheWriteTokens }),
    completion_tokens_details: details({ reasoning_tokens: usage?.reasoningTokens }),
  };
}

function details(counts: Readonly<Record<string, number | undefined>>): WritableObject | undefined {
  return Object.values(counts).every((count) => count === undefined) ? undefined : { ...counts };
}
