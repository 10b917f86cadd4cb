/** Token counts of Responses, read and written (contract.md 6). */
import { create } from "@bufbuild/protobuf";
import { type Usage, UsageBasis, UsageSchema } from "../../../gen/dragoman/v1/usage_pb.ts";
import {
  isJsonObject,
  type JsonObject,
  type JsonValue,
  mergeExtras,
  type Writable,
  type WritableObject,
  writeJson,
} from "../../core/json.ts";
import { serviceTiers, wordFor } from "../../core/openai-words.ts";
import { tokenCount } from "../../core/usage.ts";
import { cacheTtls, format } from "./wire.ts";

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
} as const satisfies Record<string, keyof Usage>;

type CountKey = (typeof inputDetails)[keyof typeof inputDetails] | (typeof outputDetails)[keyof typeof outputDetails];
const writesByTtl = "cache_write_tokens_details";

/** Counts that make no sense are absent; members that are not modelled go into its extras. */
export function readUsage(usage: JsonObject, serviceTier: JsonValue | undefined): Usage {
  const read = create(UsageSchema, { basis: UsageBasis.PROVIDER });
  const { input_tokens, output_tokens, total_tokens: _total, input_tokens_details, output_tokens_details, ...rest } = usage;
  const input = tokenCount(input_tokens);
  const output = tokenCount(output_tokens);
  if (input !== undefined) read.inputTokens = input;
  if (output !== undefined) read.outputTokens = output;
  const unknown: WritableObject = {};
  for (const key of Object.keys(rest)) if (rest[key] !== null) unknown[key] = rest[key] as Writable;
  if (isJsonObject(input_tokens_details)) {
    const { [writesByTtl]: writes, ...counts } = input_tokens_details;
    readDetails(read, counts, inputDetails, "input_tokens_details", unknown);
    if (isJsonObject(writes)) readCacheWrites(read, writes);
  }
  if (isJsonObject(output_tokens_details)) readDetails(read, output_tokens_details, outputDetails, "output_tokens_details", unknown);
  if (typeof serviceTier === "string") read.serviceTier = serviceTiers[serviceTier] ?? 0;
  if (Object.keys(unknown).length > 0) read.extrasJson[format] = writeJson(unknown);
  return read;
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
    const field = Object.hasOwn(table, key) ? table[key] : undefined;
    const count = tokenCount(value);
    if (field !== undefined && count !== undefined) usage[field] = count;
    else if (field === undefined && value !== null) rest[key] = value as Writable;
  }
  if (Object.keys(rest).length > 0) unknown[name] = rest;
}

/** `{ttl_30m_tokens, ttl_12h_tokens}`. */
function readCacheWrites(usage: Usage, writes: JsonObject): void {
  for (const [word, ttlSeconds] of Object.entries(cacheTtls)) {
    const tokens = tokenCount(writes[`ttl_${word}_tokens`]);
    if (tokens !== undefined) usage.cacheWrites.push({ $typeName: "dragoman.v1.CacheWrite", ttlSeconds, tokens });
  }
}

/** The usage object of an answer. Totals are computed; details hold what is known. */
export function writeUsage(usage: Usage): WritableObject {
  const input = usage.inputTokens ?? 0;
  const output = usage.outputTokens ?? 0;
  const inputCounts = writeDetails(usage, inputDetails);
  const writes: WritableObject = {};
  for (const { ttlSeconds, tokens } of usage.cacheWrites) {
    const word = wordFor(cacheTtls, ttlSeconds);
    if (word !== undefined) writes[`ttl_${word}_tokens`] = tokens;
  }
  if (Object.keys(writes).length > 0) inputCounts[writesByTtl] = writes;
  const written: WritableObject = {
    input_tokens: input,
    input_tokens_details: inputCounts,
    output_tokens: output,
    output_tokens_details: writeDetails(usage, outputDetails),
    total_tokens: input + output,
  };
  mergeExtras(written, usage.extrasJson[format]);
  return written;
}

function writeDetails(usage: Usage, table: Readonly<Record<string, CountKey>>): WritableObject {
  const details: WritableObject = {};
  for (const [name, key] of Object.entries(table)) if (usage[key] !== undefined) details[name] = usage[key];
  return details;
}
