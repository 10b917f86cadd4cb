/** Reads usage: what the model took and made in `tokens`, what is paid for in `billed_units`, which is kept for prices. */
import { create } from "@bufbuild/protobuf";
import { type Usage, UsageBasis, UsageSchema } from "../../../gen/dragoman/v1/usage_pb.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../core/json.ts";
import { tokenCount } from "../../core/usage.ts";
import { objectMember, unknownMembers } from "./wire.ts";

const known = new Set(["tokens", "cached_tokens"]);
const tokensKnown = new Set(["input_tokens", "output_tokens", "reasoning_tokens", "cached_tokens"]);

/** Undefined where nothing is counted. Where `tokens` is missing, the billed units are the best that the provider says. */
export function readUsage(value: JsonValue | undefined): Usage | undefined {
  if (!isJsonObject(value)) return undefined;
  const tokens = objectMember(value, "tokens");
  const billed = objectMember(value, "billed_units");
  const usage = create(UsageSchema, { basis: UsageBasis.PROVIDER, extrasJson: readExtras(value, tokens) });
  const counts = {
    inputTokens: tokenCount(tokens.input_tokens) ?? tokenCount(billed.input_tokens),
    outputTokens: tokenCount(tokens.output_tokens) ?? tokenCount(billed.output_tokens),
    cacheReadTokens: tokenCount(value.cached_tokens) ?? tokenCount(tokens.cached_tokens),
    reasoningTokens: tokenCount(tokens.reasoning_tokens),
    imageInputTokens: tokenCount(billed.image_tokens),
  };
  for (const [name, count] of Object.entries(counts)) if (count !== undefined) usage[name as keyof typeof counts] = count;
  return usage;
}

function readExtras(usage: JsonObject, tokens: JsonObject): Record<string, string> {
  const more = Object.keys(tokens).some((name) => !tokensKnown.has(name));
  return unknownMembers(usage, more ? new Set(["cached_tokens"]) : known);
}
