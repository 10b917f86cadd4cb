/** What known models cost: amounts worked out by hand from the vendors' list prices, in nano-dollars. */
import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ServiceTier } from "../../gen/dragoman/v1/call_pb.ts";
import { type Usage, UsageSchema } from "../../gen/dragoman/v1/usage_pb.ts";
import { costOf, type Price, pricingVersionOf, reserveOf } from "../../src/core/pricing.ts";
import { LayeredPriceBook } from "../../src/prices/price-book.ts";

const noon = Date.parse("2026-10-01T12:00:00Z");
const book = new LayeredPriceBook({ typeOf: (name) => name, configured: [], usePackage: true });
type Counts = Partial<Omit<Usage, "$typeName" | "$unknown">>;

const usageOf = (counts: Counts) => create(UsageSchema, counts as Usage);
const priceOf = (provider: string, model: string, at = noon) => book.price({ tenant: "default", provider, model, at });
const cost = (provider: string, model: string, counts: Counts, at = noon) => costOf(usageOf(counts), priceOf(provider, model, at));

const io = (inputTokens: number, outputTokens: number, more: Counts = {}): Counts => ({ inputTokens, outputTokens, ...more });
const longWrites = [
  { $typeName: "dragoman.v1.CacheWrite" as const, ttlSeconds: 300, tokens: 1_000 },
  { $typeName: "dragoman.v1.CacheWrite" as const, ttlSeconds: 3_600, tokens: 2_000 },
];

const table: readonly [provider: string, model: string, counts: Counts, nano: bigint][] = [
  ["openai", "gpt-4o", io(1_000, 500), 7_500_000n],
  ["openai", "gpt-4o", io(1, 0), 2_500n],
  ["openai", "gpt-4o", io(0, 0), 0n],
  ["openai", "gpt-4o-2024-08-06", io(1_000, 0), 2_500_000n],
  // contract.md, case 18: cached tokens are part of the prompt, and are not counted twice.
  ["openai", "gpt-4o", io(2_006, 300, { cacheReadTokens: 1_920 }), 5_615_000n],
  ["openai", "gpt-4o-mini", io(1_000_000, 1_000_000), 750_000_000n],
  ["openai", "gpt-4o-mini", io(3, 1), 1_050n],
  ["openai", "gpt-4o-mini", io(1_000, 0, { cacheReadTokens: 1_000 }), 75_000n],
  ["openai", "gpt-4.1", io(10_000, 100, { cacheReadTokens: 4_000 }), 14_800_000n],
  ["openai", "gpt-5", io(8_000, 2_000, { reasoningTokens: 1_500 }), 30_000_000n],
  ["openai", "gpt-5-mini", io(100, 10), 45_000n],
  ["openai", "o3", io(1_000, 1_000), 10_000_000n],
  ["openai", "gpt-5", io(8_000, 2_000, { serviceTier: ServiceTier.FLEX }), 15_000_000n],
  ["openai", "gpt-5", io(8_000, 2_000, { serviceTier: ServiceTier.STANDARD }), 30_000_000n],
  ["openai", "gpt-5.4", io(271_999, 1_000), 694_997_500n],
  ["openai", "gpt-5.4", io(272_000, 1_000), 1_382_500_000n],
  ["openai", "text-embedding-3-small", { inputTokens: 5 }, 100n],
  ["openai", "text-embedding-3-large", { inputTokens: 7 }, 910n],
  ["openai-responses", "gpt-4o", io(1_000, 500), 7_500_000n],
  ["azure-openai", "gpt-4o", io(1_000, 500), 7_500_000n],
  ["anthropic", "claude-sonnet-4-20250514", io(1_000, 1_000), 18_000_000n],
  // contract.md, case 19: input_tokens of Anthropic leave the cache out; ours hold it: 100 new, 3 000 written, 20 000 read.
  ["anthropic", "claude-sonnet-4-20250514", io(23_100, 50, { cacheReadTokens: 20_000, cacheWriteTokens: 3_000 }), 18_300_000n],
  ["anthropic", "claude-sonnet-4-20250514", io(3_000, 0, { cacheWriteTokens: 3_000, cacheWrites: longWrites }), 15_750_000n],
  ["anthropic", "claude-sonnet-4-20250514", io(3_000, 0, { cacheWrites: longWrites }), 15_750_000n],
  ["anthropic", "claude-sonnet-4-20250514", io(0, 0, { serverToolCalls: { web_search_requests: 3, web_fetch_requests: 9 } }), 30_000_000n],
  ["anthropic", "claude-sonnet-4-5", io(200_000, 1_000), 615_000_000n],
  ["anthropic", "claude-sonnet-4-5", io(200_001, 1_000), 1_222_506_000n],
  ["anthropic", "claude-sonnet-4-5", io(300_000, 0, { cacheReadTokens: 300_000 }), 180_000_000n],
  ["anthropic", "claude-opus-4-1", io(10, 10, { serviceTier: ServiceTier.BATCH }), 450_000n],
  ["anthropic", "claude-3-5-haiku-latest", io(1_000, 1_000), 4_800_000n],
  ["gemini", "gemini-2.5-pro", io(200_000, 0), 250_000_000n],
  ["gemini", "gemini-2.5-pro", io(200_001, 1), 500_017_500n],
  ["gemini", "gemini-2.5-flash", io(1_000, 100, { audioInputTokens: 400 }), 830_000n],
  ["gemini", "gemini-2.5-flash", io(1_000, 0, { audioInputTokens: 1_000, cacheReadTokens: 1_000 }), 30_000n],
  ["gemini", "gemini-2.5-flash-image", io(100, 1_390, { imageOutputTokens: 1_290 }), 38_980_000n],
  ["gemini", "gemini-2.5-pro", io(1_000, 0, { serviceTier: ServiceTier.BATCH }), 625_000n],
  ["bedrock", "anthropic.claude-sonnet-4-20250514-v1:0", io(1_000, 1_000), 18_000_000n],
  ["mistral", "mistral-large-latest", io(500, 500), 4_000_000n],
  ["xai", "grok-4", io(1_000, 200, { cacheReadTokens: 500 }), 4_875_000n],
  ["groq", "llama-3.3-70b-versatile", io(1, 1), 1_380n],
  ["cohere", "command-r-plus", io(100, 100), 1_250_000n],
  ["perplexity", "sonar", io(1_000, 1_000), 14_000_000n],
  ["perplexity", "sonar-deep-research", io(0, 1_000, { reasoningTokens: 600 }), 5_000_000n],
  ["openrouter", "anthropic/claude-sonnet-4.5", io(1_000, 0), 3_000_000n],
];

describe("a call costs what the vendor's list says", () => {
  test.each(table)("%s %s %o: %d", (provider, model, counts, nano) => {
    expect(cost(provider, model, counts)).toBe(nano);
  });

  test("prices change on their day, and by the hour of the day", () => {
    const counts = io(1_000_000, 0);
    expect(cost("openai", "o3", counts, Date.parse("2025-06-09T23:59:59Z"))).toBe(10_000_000_000n);
    expect(cost("openai", "o3", counts, Date.parse("2025-06-10T00:00:00Z"))).toBe(2_000_000_000n);
    const hours = (["00:59:59", "01:00:00", "03:59:59", "04:00:00"] as const).map((hour) =>
      cost("deepseek", "deepseek-v4-flash", counts, Date.parse(`2026-10-01T${hour}Z`)),
    );
    expect(hours).toEqual([220_000_000n, 440_000_000n, 440_000_000n, 220_000_000n]);
  });
});

describe("what is not known is not free", () => {
  test.each<[string, string, Counts]>([
    ["openai", "no-such-model", io(1, 1)],
    ["sim", "echo", io(1, 1)],
    ["ollama", "gpt-4o", io(1, 1)],
    ["openai-compatible", "gpt-4o", io(1, 1)],
    ["openai", "gpt-5", { outputTokens: 5 }],
    ["openai", "gpt-5", io(1, 1, { serviceTier: ServiceTier.PRIORITY })],
    ["anthropic", "claude-sonnet-4-5", io(1, 1, { serviceTier: ServiceTier.RESERVED })],
    ["openai", "text-embedding-3-small", io(1, 1)],
  ])("%s %s %o", (provider, model, counts) => {
    expect(cost(provider, model, counts)).toBeUndefined();
  });

  test("what the provider itself states wins, even over no price at all", () => {
    const usage = usageOf(io(1_000, 500, { providerCostNanoUsd: 42n }));
    expect([costOf(usage, priceOf("openai", "gpt-4o")), costOf(usage, undefined)]).toEqual([42n, 42n]);
    expect(pricingVersionOf(usage, priceOf("openai", "gpt-4o"))).toBe("provider");
    expect(pricingVersionOf(usageOf(io(1, 1)), priceOf("openai", "gpt-4o"))).toMatch(/^genai-prices@\d+\.\d+\.\d+$/);
    expect(pricingVersionOf(usageOf(io(1, 1)), undefined)).toBe("");
  });

  test("halves of a nano-dollar are rounded up, once for the whole", () => {
    const price = { tiers: [{ aboveInputTokens: 0, rates: { input: 500_000n, output: 499_999n } }], version: "v", source: "" };
    expect(costOf(usageOf(io(1, 0)), price)).toBe(1n);
    expect(costOf(usageOf(io(0, 1)), price)).toBe(0n);
    expect(costOf(usageOf(io(1, 1)), price)).toBe(1n);
    expect(costOf(usageOf(io(3, 0)), price)).toBe(2n);
  });
});

const rate = fc.bigInt({ min: 0n, max: 10n ** 12n });
const names = ["input", "cache_read", "cache_write", "cache_write_1h", "audio_input", "output", "reasoning", "audio_output"] as const;
const anyPrice: fc.Arbitrary<Price> = fc
  .record({
    input: rate,
    output: rate,
    others: fc.dictionary(fc.constantFrom(...names.slice(1)), rate),
    above: fc.integer({ min: 1, max: 10_000 }),
  })
  .map(({ input, output, others, above }) => {
    const rates = { ...others, input, output };
    const doubled = Object.fromEntries(Object.entries(rates).map(([name, value]) => [name, 2n * value]));
    return {
      tiers: [
        { aboveInputTokens: 0, rates },
        { aboveInputTokens: above, rates: doubled },
      ],
      version: "v",
      source: "",
    };
  });
const count = fc.nat({ max: 20_000 });
const anyUsage = fc
  .record({
    inputTokens: count,
    outputTokens: count,
    cacheReadTokens: count,
    cacheWriteTokens: count,
    audioInputTokens: count,
    reasoningTokens: count,
  })
  .map((counts) => usageOf(counts));

describe("whatever the price", () => {
  test("a cost is whole and not negative, and more tokens never cost less", () => {
    fc.assert(
      fc.property(anyPrice, anyUsage, count, count, (price, usage, moreInput, moreOutput) => {
        const less = costOf(usage, price);
        const more = costOf(
          { ...usage, inputTokens: (usage.inputTokens ?? 0) + moreInput, outputTokens: (usage.outputTokens ?? 0) + moreOutput },
          price,
        );
        expect(less).toBeGreaterThanOrEqual(0n);
        expect((more as bigint) >= (less as bigint)).toBe(true);
      }),
    );
  });

  test("within one size of input, the parts of a call cost what the call costs, to a nano-dollar", () => {
    fc.assert(
      fc.property(anyPrice, anyUsage, anyUsage, ({ tiers: [tier], ...rest }, left, right) => {
        const price = { ...rest, tiers: tier === undefined ? [] : [tier] };
        const sane = (usage: Usage) => ({
          ...usage,
          inputTokens:
            (usage.inputTokens ?? 0) + (usage.cacheReadTokens ?? 0) + (usage.cacheWriteTokens ?? 0) + (usage.audioInputTokens ?? 0),
          outputTokens: (usage.outputTokens ?? 0) + (usage.reasoningTokens ?? 0),
        });
        const [a, b] = [sane(left), sane(right)];
        const keys = ["inputTokens", "outputTokens", "cacheReadTokens", "cacheWriteTokens", "audioInputTokens", "reasoningTokens"] as const;
        const both = usageOf(Object.fromEntries(keys.map((key) => [key, (a[key] ?? 0) + (b[key] ?? 0)])));
        const apart = (costOf(a, price) as bigint) + (costOf(b, price) as bigint);
        const difference = (costOf(both, price) as bigint) - apart;
        expect(difference >= -1n && difference <= 1n).toBe(true);
      }),
    );
  });

  test("what is reserved for a call is never less than what it costs", () => {
    fc.assert(
      fc.property(anyPrice, anyUsage, (price, usage) => {
        const estimate = { inputTokens: usage.inputTokens ?? 0, outputTokens: usage.outputTokens ?? 0, rates: [...names] };
        expect((reserveOf(estimate, price) as bigint) >= (costOf(usage, price) as bigint)).toBe(true);
      }),
    );
  });
});
