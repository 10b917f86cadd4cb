/** Token counts: `usageMetadata`, on every chunk, running totals. */
import { create } from "@bufbuild/protobuf";
import { ServiceTier } from "../../../gen/dragoman/v1/call_pb.ts";
import { type Usage, UsageBasis, UsageSchema } from "../../../gen/dragoman/v1/usage_pb.ts";
import { type JsonObject, jsonText } from "../../core/json.ts";
import { objectsMember } from "../../core/members.ts";
import { sumCounts, tokenCount } from "../../core/usage.ts";
import { extrasOf, unknownMembers } from "./wire.ts";

const counts = [
  "promptTokenCount",
  "toolUsePromptTokenCount",
  "candidatesTokenCount",
  "thoughtsTokenCount",
  "cachedContentTokenCount",
  "totalTokenCount",
] as const;
type Count = (typeof counts)[number];

const known: ReadonlySet<string> = new Set([...counts, "promptTokensDetails", "candidatesTokensDetails"]);

/** Kinds of content that the core counts, or that are the rest. */
const modelled: ReadonlySet<string> = new Set(["TEXT", "AUDIO", "IMAGE", "VIDEO"]);

/** Words for the tier that served, as the Gemini API and Vertex AI have them. */
const tiers: Readonly<Record<string, ServiceTier>> = {
  standard: ServiceTier.STANDARD,
  flex: ServiceTier.FLEX,
  priority: ServiceTier.PRIORITY,
  ON_DEMAND: ServiceTier.STANDARD,
  ON_DEMAND_FLEX: ServiceTier.FLEX,
  ON_DEMAND_PRIORITY: ServiceTier.PRIORITY,
  PROVISIONED_THROUGHPUT: ServiceTier.RESERVED,
};

/** Adds up what the chunks of one answer say; a count that a later chunk leaves out keeps its value. */
export class UsageReader {
  readonly #counts = new Map<Count, number>();
  readonly #input = new Map<string, number>();
  readonly #output = new Map<string, number>();
  readonly #unknown = new Map<string, string>();
  #tier: ServiceTier | undefined;

  read(metadata: JsonObject): void {
    for (const name of counts) {
      const count = tokenCount(metadata[name]);
      if (count !== undefined) this.#counts.set(name, count);
    }
    readDetails(metadata, "promptTokensDetails", this.#input);
    readDetails(metadata, "candidatesTokensDetails", this.#output);
    for (const [name, text] of unknownMembers(metadata, known)) this.#unknown.set(name, text);
    for (const name of ["promptTokensDetails", "candidatesTokensDetails"]) {
      // A kind that the core does not count would be lost.
      const details = objectsMember(metadata, name);
      if (details.some(({ modality }) => typeof modality === "string" && !modelled.has(modality)))
        this.#unknown.set(name, jsonText(details));
    }
    const tier = metadata.serviceTier ?? metadata.trafficType;
    if (typeof tier === "string" && Object.hasOwn(tiers, tier)) this.#tier = tiers[tier];
  }

  /** The counts so far; undefined while none is known. */
  usage(): Usage | undefined {
    const input = sumCounts(this.#counts.get("promptTokenCount"), this.#counts.get("toolUsePromptTokenCount"));
    const output =
      sumCounts(this.#counts.get("candidatesTokenCount"), this.#counts.get("thoughtsTokenCount")) ?? this.#impliedOutput(input);
    if (input === undefined && output === undefined) return undefined;
    const usage = create(UsageSchema, { basis: UsageBasis.PROVIDER, extrasJson: extrasOf(this.#unknown) });
    setCount(usage, "inputTokens", input);
    setCount(usage, "outputTokens", output);
    setCount(usage, "cacheReadTokens", this.#counts.get("cachedContentTokenCount"));
    setCount(usage, "reasoningTokens", this.#counts.get("thoughtsTokenCount"));
    setCount(usage, "toolUseInputTokens", this.#counts.get("toolUsePromptTokenCount"));
    setCount(usage, "audioInputTokens", this.#input.get("AUDIO"));
    setCount(usage, "imageInputTokens", this.#input.get("IMAGE"));
    setCount(usage, "videoInputTokens", this.#input.get("VIDEO"));
    setCount(usage, "audioOutputTokens", this.#output.get("AUDIO"));
    setCount(usage, "imageOutputTokens", this.#output.get("IMAGE"));
    if (this.#tier !== undefined) usage.serviceTier = this.#tier;
    return usage;
  }

  /** Counts of 0 are left out on the wire: the total tells a true 0 from what was not said. */
  #impliedOutput(input: number | undefined): number | undefined {
    const total = this.#counts.get("totalTokenCount");
    return total === undefined || input === undefined || total < input ? undefined : total - input;
  }
}

type CountField = {
  [Field in keyof Usage]-?: number extends Usage[Field] ? (undefined extends Usage[Field] ? Field : never) : never;
}[keyof Usage];

function setCount(usage: Usage, field: CountField, count: number | undefined): void {
  if (count !== undefined) usage[field] = count;
}

/** `[{modality, tokenCount}]`, of one chunk a whole: a later list replaces the earlier one. */
function readDetails(metadata: JsonObject, name: string, into: Map<string, number>): void {
  const details = objectsMember(metadata, name);
  if (details.length === 0) return;
  into.clear();
  for (const { modality, tokenCount: tokens } of details) {
    const count = tokenCount(tokens);
    if (typeof modality === "string" && count !== undefined) into.set(modality, (into.get(modality) ?? 0) + count);
  }
}
