/**
 * What an attempt costs, in whole nano-dollars. A rate is nano-dollars for 1 000 000 units, so a cost is a sum of products
 * of whole numbers, divided by 1 000 000 once, at its end: to the nearest nano-dollar, halves up. No float anywhere.
 *
 * Names of rates: those of `rateNames` for tokens, `requests` for each call, `tool.<name>` for each call of a tool that
 * the provider runs, by its name in Usage.server_tool_calls. With the name of a service tier in front, as in
 * `batch.output`, a rate stands for calls which that tier served.
 *
 * - A part of the input or output without a rate of its own costs what the whole costs: cached input as `input`, and so on.
 * - A tier for large inputs names the rates that change; the others are those of the tier below it.
 * - Cached tokens are taken out of the input first; what is told of audio, images and video counts for the rest.
 * - The cost is unknown, never 0, where a rate for `input` or `output` that was used is missing, and where the call was
 *   served by another service tier than the normal one and that tier has no rates.
 * - Calls of tools without a rate add nothing: some are free, and the tokens they bring are counted as input.
 */
import { ServiceTier } from "../../gen/dragoman/v1/call_pb.ts";
import type { Usage } from "../../gen/dragoman/v1/usage_pb.ts";
import type { PriceTier } from "./price-store.ts";

/** What is counted in tokens. Times of cache writes: 5 minutes (or whatever is the vendor's usual), and an hour. */
export const rateNames = [
  "input",
  "cache_read",
  "cache_write",
  "cache_write_1h",
  "audio_input",
  "image_input",
  "video_input",
  "output",
  "reasoning",
  "audio_output",
  "image_output",
] as const;

export type RateName = (typeof rateNames)[number];

/** Service tiers that have rates of their own, as the names of those rates begin. */
const tierNames = ["flex", "priority", "fast", "reserved", "batch"] as const;

const ratePattern = new RegExp(`^(?:(?:${tierNames.join("|")})\\.)?(?:${rateNames.join("|")}|requests|tool\\.[A-Za-z0-9_.-]{1,64})$`);

/** Whether a rate may have this name. */
export function isRateName(name: string): boolean {
  return ratePattern.test(name);
}

export interface Price {
  /** At least one, by rising `aboveInputTokens`; the first is of 0. */
  readonly tiers: readonly PriceTier[];
  /** Which price it was: kept with every row that it priced. */
  readonly version: string;
  /** Where it was read, for people. */
  readonly source: string;
}

export interface PriceQuery {
  /** Whose attempt it is: tenants may have prices of their own. */
  readonly tenant: string;
  /** As configured. */
  readonly provider: string;
  /** The model's name at the provider. */
  readonly model: string;
  /** When the attempt began, in milliseconds since 1970. */
  readonly at: number;
}

export interface PriceBook {
  /** Undefined where none is known. Never waits, never throws. */
  price(query: PriceQuery): Price | undefined;
}

/** What a call may come to. */
export interface CostEstimate {
  readonly inputTokens: number;
  /** The cap of all answers together. */
  readonly outputTokens: number;
  /** What of the input or output may count by another rate: the dearest holds. */
  readonly rates?: readonly RateName[];
  readonly serviceTier?: ServiceTier;
}

const perMillion = 1_000_000n;
const hourSeconds = 3_600;

/** The version of costs that the provider itself states. */
const providerStated = "provider";

/** The cost of one attempt in nano-dollars. What the provider itself states wins. Undefined: not known. */
export function costOf(usage: Usage, price: Price | undefined): bigint | undefined {
  const stated = usage.providerCostNanoUsd;
  if (stated !== undefined && stated >= 0n) return stated;
  if (price === undefined || usage.inputTokens === undefined) return undefined;
  const rates = new Rates(price, usage.inputTokens, usage.serviceTier);
  let sum = 0n;
  for (const { units, names } of countUnits(usage, usage.inputTokens)) {
    if (units === 0) continue;
    const rate = rates.first(names);
    if (rate === undefined) return undefined;
    sum += BigInt(units) * rate;
  }
  sum += rates.first(["requests"]) ?? 0n;
  for (const [tool, calls] of Object.entries(usage.serverToolCalls)) sum += BigInt(calls) * (rates.first([`tool.${tool}`]) ?? 0n);
  return (sum + perMillion / 2n) / perMillion;
}

/** The version to keep with a cost: who said what the rate is. Empty where nobody did. */
export function pricingVersionOf(usage: Usage, price: Price | undefined): string {
  const stated = usage.providerCostNanoUsd;
  return stated !== undefined && stated >= 0n ? providerStated : (price?.version ?? "");
}

/**
 * The most that a call may cost, rounded up: what is reserved before it is dispatched. Calls of tools are not in it. A call
 * that asks for a service tier may be served by the normal one, so the dearer of the two holds. Undefined where no price
 * is known.
 */
export function reserveOf(estimate: CostEstimate, price: Price | undefined): bigint | undefined {
  if (price === undefined) return undefined;
  const { serviceTier = ServiceTier.UNSPECIFIED } = estimate;
  // Whoever lets the provider choose may get what is dearer.
  const asked = serviceTier === ServiceTier.AUTO ? ServiceTier.PRIORITY : serviceTier;
  const normal = reserveIn(ServiceTier.UNSPECIFIED, estimate, price);
  if (prefixOf(asked) === undefined) return normal;
  const special = reserveIn(asked, estimate, price);
  return special !== undefined && (normal === undefined || special > normal) ? special : normal;
}

function reserveIn(
  serviceTier: ServiceTier,
  { inputTokens, outputTokens, rates: extra = [] }: CostEstimate,
  price: Price,
): bigint | undefined {
  const rates = new Rates(price, inputTokens, serviceTier);
  const input = rates.greatest(["input", ...extra.filter((name) => !isOutput(name))]);
  const output = rates.greatest(["output", ...extra.filter(isOutput)]);
  if ((inputTokens > 0 && input === undefined) || (outputTokens > 0 && output === undefined)) return undefined;
  const sum = BigInt(inputTokens) * (input ?? 0n) + BigInt(outputTokens) * (output ?? 0n) + (rates.first(["requests"]) ?? 0n);
  return (sum + perMillion - 1n) / perMillion;
}

const outputRates: ReadonlySet<RateName> = new Set<RateName>(["output", "reasoning", "audio_output", "image_output"]);

function isOutput(name: RateName): boolean {
  return outputRates.has(name);
}

/** The rates of a price for one size of input and one service tier. */
class Rates {
  readonly #tiers: readonly PriceTier[];
  /** Of the names: `batch.`; undefined for the normal tier. */
  readonly #prefix: string | undefined;

  constructor({ tiers }: Price, inputTokens: number, serviceTier: ServiceTier) {
    this.#tiers = tiers.filter(({ aboveInputTokens }, index) => index === 0 || inputTokens > aboveInputTokens);
    this.#prefix = prefixOf(serviceTier);
  }

  /** The first of the names that has a rate. */
  first(names: readonly string[]): bigint | undefined {
    for (const name of names) {
      const rate = this.#find(name);
      if (rate !== undefined) return rate;
    }
    return undefined;
  }

  /** Undefined where the first name has none. */
  greatest(names: readonly string[]): bigint | undefined {
    let greatest = this.#find(names[0] ?? "");
    if (greatest === undefined) return undefined;
    for (const name of names) {
      const rate = this.#find(name);
      if (rate !== undefined && rate > greatest) greatest = rate;
    }
    return greatest;
  }

  #find(name: string): bigint | undefined {
    // Tools and requests cost the same in every service tier, unless it is said otherwise.
    const names = this.#prefix === undefined ? [name] : isToken(name) ? [this.#prefix + name] : [this.#prefix + name, name];
    for (const candidate of names) {
      for (let index = this.#tiers.length - 1; index >= 0; index--) {
        const rate = this.#tiers[index]?.rates[candidate];
        if (rate !== undefined) return rate;
      }
    }
    return undefined;
  }
}

function isToken(name: string): boolean {
  return (rateNames as readonly string[]).includes(name);
}

function prefixOf(tier: ServiceTier): string | undefined {
  switch (tier) {
    case ServiceTier.FLEX:
      return "flex.";
    case ServiceTier.PRIORITY:
      return "priority.";
    case ServiceTier.FAST:
      return "fast.";
    case ServiceTier.RESERVED:
      return "reserved.";
    case ServiceTier.BATCH:
      return "batch.";
    default:
      return undefined;
  }
}

/** Tokens of one kind, and the names of their rate, the closest first. */
interface Units {
  readonly units: number;
  readonly names: readonly RateName[];
}

/** Every token of the usage in exactly one kind. Parts that are said to be larger than their whole are cut to it. */
function countUnits(usage: Usage, inputTokens: number): readonly Units[] {
  const input = new Remainder(inputTokens);
  const read = input.take(usage.cacheReadTokens);
  const written = input.take(usage.cacheWriteTokens ?? sumOf(usage.cacheWrites));
  const writtenForLong = Math.min(written, sumOf(usage.cacheWrites.filter(({ ttlSeconds }) => ttlSeconds >= hourSeconds)));
  const audio = input.take(usage.audioInputTokens);
  const image = input.take(usage.imageInputTokens);
  const video = input.take(usage.videoInputTokens);
  const output = new Remainder(usage.outputTokens ?? 0);
  const spoken = output.take(usage.audioOutputTokens);
  const drawn = output.take(usage.imageOutputTokens);
  const reasoned = output.take(usage.reasoningTokens);
  return [
    { units: read, names: ["cache_read", "input"] },
    { units: written - writtenForLong, names: ["cache_write", "input"] },
    { units: writtenForLong, names: ["cache_write_1h", "cache_write", "input"] },
    { units: audio, names: ["audio_input", "input"] },
    { units: image, names: ["image_input", "input"] },
    { units: video, names: ["video_input", "input"] },
    { units: input.left, names: ["input"] },
    { units: spoken, names: ["audio_output", "output"] },
    { units: drawn, names: ["image_output", "output"] },
    { units: reasoned, names: ["reasoning", "output"] },
    { units: output.left, names: ["output"] },
  ];
}

function sumOf(writes: Usage["cacheWrites"]): number {
  return writes.reduce((sum, { tokens }) => sum + tokens, 0);
}

class Remainder {
  left: number;

  constructor(whole: number) {
    this.left = whole;
  }

  /** As much of the part as is left. */
  take(part = 0): number {
    const taken = Math.min(part, this.left);
    this.left -= taken;
    return taken;
  }
}
