/** Token counts of Chat Completions, read and written (contract.md 6). */
import { type Usage, UsageBasis } from "../../../gen/dragoman/v1/usage_pb.ts";
import {
  isJsonObject,
  type JsonObject,
  type JsonValue,
  mergeExtras,
  type Writable,
  type WritableObject,
  writeJson,
} from "../../core/json.ts";
import { newUsage } from "../../core/new-message.ts";
import { serviceTiers } from "../../core/openai-words.ts";
import { sumCounts, tokenCount } from "../../core/usage.ts";
import { format } from "./wire.ts";

/** One xAI tick is a tenth of a nano-dollar. */
const ticksPerNanoUsd = 10;

const inputDetails = {
  cached_tokens: "cacheReadTokens",
  cache_write_tokens: "cacheWriteTokens",
  audio_tokens: "audioInputTokens",
  image_tokens: "imageInputTokens",
} as const satisfies Record<string, keyof Usage>;

const outputDetails = {
  reasoning_tokens: "reasoningTokens",
  audio_tokens: "audioOutputTokens",
  image_tokens: "imageOutputTokens",
  accepted_prediction_tokens: "acceptedPredictionTokens",
  rejected_prediction_tokens: "rejectedPredictionTokens",
} as const satisfies Record<string, keyof Usage>;

export interface UsageFacts {
  /** completion_tokens do not count reasoning. */
  readonly reasoningOutside?: boolean;
  /** `service_tier` of the reply. */
  readonly serviceTier?: string | undefined;
}

/** The usage object of a reply. Counts that make no sense are absent; members that are not modelled go into its extras. */
export function readUsage(usage: JsonObject, { reasoningOutside = false, serviceTier }: UsageFacts = {}): Usage {
  const read = newUsage(UsageBasis.PROVIDER);
  const unknown: WritableObject = {};
  let completion: number | undefined;
  let total: number | undefined;
  for (const key of Object.keys(usage)) {
    const value = usage[key] as JsonValue;
    if (value === null) continue;
    if (key === "prompt_tokens") put(read, "inputTokens", value);
    else if (key === "completion_tokens") completion = tokenCount(value);
    else if (key === "total_tokens") total = tokenCount(value);
    else if (key === "prompt_tokens_details" && isJsonObject(value)) readDetails(read, value, inputDetails, key, unknown);
    else if (key === "completion_tokens_details" && isJsonObject(value)) readDetails(read, value, outputDetails, key, unknown);
    else unknown[key] = value as Writable;
  }
  // DeepSeek and Moonshot put cache reads beside the totals.
  read.cacheReadTokens ??= tokenCount(usage.prompt_cache_hit_tokens) ?? tokenCount(usage.cached_tokens);
  read.reasoningTokens ??= tokenCount(usage.reasoning_tokens);
  const reasoning = read.reasoningTokens ?? 0;
  const outside =
    reasoningOutside ||
    (reasoning > 0 && total !== undefined && completion !== undefined && total === (read.inputTokens ?? 0) + completion + reasoning);
  const output = outside ? sumCounts(completion, read.reasoningTokens) : completion;
  if (output !== undefined) read.outputTokens = output;
  const ticks = usage.cost_in_usd_ticks;
  if (typeof ticks === "number" && ticks >= 0) read.providerCostNanoUsd = BigInt(Math.round(ticks / ticksPerNanoUsd));
  if (serviceTier !== undefined) read.serviceTier = serviceTiers[serviceTier] ?? 0;
  if (Object.keys(unknown).length > 0) read.extrasJson[format] = writeJson(unknown);
  return dropUndefined(read);
}

type CountKey = (typeof inputDetails)[keyof typeof inputDetails] | (typeof outputDetails)[keyof typeof outputDetails] | "inputTokens";

function put(usage: Usage, key: CountKey, value: JsonValue): void {
  const count = tokenCount(value);
  if (count !== undefined) usage[key] = count;
}

function readDetails(
  usage: Usage,
  details: JsonObject,
  table: Readonly<Record<string, CountKey>>,
  name: string,
  unknown: WritableObject,
): void {
  const rest: WritableObject = {};
  for (const key of Object.keys(details)) {
    const value = details[key] as JsonValue;
    const count = Object.hasOwn(table, key) ? table[key] : undefined;
    if (count !== undefined) put(usage, count, value);
    else if (value !== null) rest[key] = value as Writable;
  }
  if (Object.keys(rest).length > 0) unknown[name] = rest;
}

/** `optional` fields that are absent must not be own members with the value undefined: messages are compared. */
function dropUndefined(usage: Usage): Usage {
  if (usage.cacheReadTokens === undefined) delete usage.cacheReadTokens;
  if (usage.reasoningTokens === undefined) delete usage.reasoningTokens;
  return usage;
}

/** The usage object of an answer. Totals are computed; details hold what is known. */
export function writeUsage(usage: Usage): WritableObject {
  const prompt = usage.inputTokens ?? 0;
  const completion = usage.outputTokens ?? 0;
  const written: WritableObject = { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion };
  writeDetails(written, "prompt_tokens_details", usage, inputDetails);
  writeDetails(written, "completion_tokens_details", usage, outputDetails);
  mergeExtras(written, usage.extrasJson[format]);
  return written;
}

function writeDetails(target: WritableObject, name: string, usage: Usage, table: Readonly<Record<string, CountKey>>): void {
  const details: WritableObject = {};
  for (const key of Object.keys(table)) {
    const count = usage[table[key] as CountKey];
    if (count !== undefined) details[key] = count;
  }
  if (Object.keys(details).length > 0) target[name] = details;
}
