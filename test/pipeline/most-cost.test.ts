import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { ServiceTier } from "../../gen/dragoman/v1/call_pb.ts";
import { type GenerateRequest, GenerateRequestSchema } from "../../gen/dragoman/v1/generate_pb.ts";
import type { Price } from "../../src/core/pricing.ts";
import { ratesOfRequest } from "../../src/core/request-rates.ts";
import { mostCostAt } from "../../src/pipeline/most-cost.ts";

/** Nano-dollars for a million tokens: so many dollars. */
const dollars = (amount: number): bigint => BigInt(amount) * 1_000_000_000n;

const price: Price = {
  tiers: [
    {
      aboveInputTokens: 0,
      rates: {
        input: dollars(1),
        cache_write: dollars(2),
        cache_write_1h: dollars(3),
        output: dollars(10),
        reasoning: dollars(12),
        "priority.input": dollars(5),
        "priority.output": dollars(50),
        "flex.input": 500_000_000n,
        "flex.output": dollars(5),
      },
    },
    { aboveInputTokens: 200_000, rates: { input: dollars(4), output: dollars(40), reasoning: dollars(48) } },
  ],
  version: "v1",
  source: "tests",
};

const ceiling: Price = {
  tiers: [{ aboveInputTokens: 0, rates: { input: dollars(100), output: dollars(1_000) } }],
  version: "",
  source: "",
};

interface Asked {
  readonly request?: Partial<GenerateRequest>;
  readonly inputTokens?: number;
  readonly known?: Price | undefined;
  readonly outputCap?: number | undefined;
}

function reserved(asked: Asked, ceilingOf?: () => Price | undefined) {
  const { request = {}, inputTokens = 1_000, known = price, outputCap } = { outputCap: 100, ...asked };
  const { serviceTier, ...rest } = create(GenerateRequestSchema, request as GenerateRequest);
  const billedBy = () => ({ rates: ratesOfRequest({ serviceTier, ...rest }), serviceTier });
  const target = { traits: { maxOutputTokens: 500 } };
  return mostCostAt(target, known, "smart", { inputTokens, outputCap, billedBy }, { outputEstimate: 50, ceilingOf });
}

describe("what is reserved for an attempt", () => {
  test.each<[string, Asked, bigint]>([
    ["thinking, which models do unasked, at its own rate", {}, 1_000_000n + 1_200_000n],
    ["writes of the cache, at theirs", { request: { cache: { $typeName: "dragoman.v1.CacheMarker" } } as object }, 2_000_000n + 1_200_000n],
    [
      "writes of the cache for an hour",
      { request: { cache: { $typeName: "dragoman.v1.CacheMarker", ttlSeconds: 3_600 } } as object },
      3_000_000n + 1_200_000n,
    ],
    ["a dearer service tier", { request: { serviceTier: ServiceTier.PRIORITY } }, 5_000_000n + 5_000_000n],
    ["a cheaper tier, which the normal one may stand in for", { request: { serviceTier: ServiceTier.FLEX } }, 1_000_000n + 1_200_000n],
    ["a tier that the provider chooses", { request: { serviceTier: ServiceTier.AUTO } }, 5_000_000n + 5_000_000n],
    ["a tier without rates", { request: { serviceTier: ServiceTier.FAST } }, 1_000_000n + 1_200_000n],
    ["a long input", { inputTokens: 300_000 }, 1_200_000_000n + 4_800_000n],
    ["no cap of the client's: the model's", { outputCap: undefined }, 1_000_000n + 6_000_000n],
  ])("%s", (_, asked, nano) => {
    expect(reserved(asked)).toBe(nano);
  });

  test("without a price is the ceiling's, where there is one", () => {
    const unpriced: Price = { tiers: [{ aboveInputTokens: 0, rates: { input: dollars(1) } }], version: "v1", source: "tests" };
    const ceilingOf = () => ceiling;
    expect(reserved({ known: { ...price, tiers: [{ aboveInputTokens: 0, rates: {} }] } })).toBeUndefined();
    expect(reserved({ known: unpriced }, ceilingOf), "half a price is none").toBe(100_000_000n + 100_000_000n);
    expect(reserved({}, ceilingOf), "a price is better").toBe(1_000_000n + 1_200_000n);
    const options = { outputEstimate: 50, ceilingOf };
    const bounds = { inputTokens: 1_000, outputCap: undefined, billedBy: () => ({ rates: [], serviceTier: ServiceTier.UNSPECIFIED }) };
    expect(mostCostAt({ traits: {} }, undefined, "", bounds, options)).toBe(100_000_000n + 50_000_000n);
    expect(mostCostAt({ traits: {} }, undefined, "", bounds, { outputEstimate: 50 })).toBeUndefined();
  });
});
