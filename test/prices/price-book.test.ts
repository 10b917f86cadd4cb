/** Which of several prices holds, and that every model of the data can be priced. */
import { readFileSync } from "node:fs";
import { calcPrice, findProvider } from "@pydantic/genai-prices";
import { describe, expect, test } from "vitest";
import { everyTenant, type PriceRecord } from "../../src/core/price-store.ts";
import { readConfiguredPrices } from "../../src/prices/configured-prices.ts";
import { LayeredPriceBook } from "../../src/prices/price-book.ts";
import { StoredPrices } from "../../src/prices/stored-prices.ts";
import { vendorIds } from "../../src/prices/vendors.ts";

const day = (text: string) => Date.parse(`${text}T00:00:00Z`);

const configured = readConfiguredPrices([
  { provider: "openai", model: "gpt-*", rates: { input: "7" }, tiers: [], source: "contract" },
  { provider: "openai", model: "gpt-4o*", rates: { input: "6" }, tiers: [] },
  {
    provider: "openai",
    model: "gpt-4o",
    rates: { input: "5", "batch.input": "2.5" },
    tiers: [{ above_input_tokens: 100, rates: { input: "9" } }],
  },
  { provider: "openai", model: "gpt-4o", rates: { input: "4" }, tiers: [], effective_from: "2026-06-01", effective_until: "2026-07-01" },
  { provider: "mine", model: "*", rates: { input: "0", output: "0.000000001" }, tiers: [] },
]);

function record(facts: Partial<PriceRecord>): PriceRecord {
  return {
    tenant: everyTenant,
    id: "p1",
    provider: "openai",
    modelPattern: "gpt-4o",
    tiers: [{ aboveInputTokens: 0, rates: { input: 1n } }],
    effectiveFrom: 0,
    effectiveUntil: undefined,
    source: "",
    createdAt: 0,
    updatedAt: 0,
    etag: "e1",
    ...facts,
  };
}

function bookOf(records: readonly PriceRecord[] = []) {
  const book = new LayeredPriceBook({ typeOf: (name) => (name === "vendor" ? "openai" : name), configured, usePackage: true });
  book.useStored(records);
  return (model: string, { provider = "openai", tenant = "default", at = day("2026-05-01") } = {}) => {
    const found = book.explain({ tenant, provider, model, at });
    return found === undefined
      ? undefined
      : { origin: found.origin, input: found.price.tiers[0]?.rates.input, version: found.price.version };
  };
}

describe("precedence", () => {
  test("the configuration before the data; a name before a pattern, the longer pattern before the shorter", () => {
    const find = bookOf();
    expect(find("gpt-4o")).toEqual({ origin: "config", input: 5_000_000_000n, version: "config:openai/gpt-4o" });
    expect(find("gpt-4o-mini")?.input).toBe(6_000_000_000n);
    expect(find("gpt-5")?.input).toBe(7_000_000_000n);
    expect(find("o3")).toMatchObject({ origin: "package", input: 2_000_000_000n });
    expect(find("gpt-4o", { provider: "vendor" })).toMatchObject({ origin: "package", input: 2_500_000_000n });
    expect(find("anything", { provider: "mine" })?.input).toBe(0n);
    expect(find("gpt-4o", { provider: "unheard-of" })).toBeUndefined();
  });

  test("a dated price holds in its time only, its last moment excluded", () => {
    const find = bookOf();
    const moments = [day("2026-06-01") - 1, day("2026-06-01"), day("2026-07-01") - 1, day("2026-07-01")];
    const inputs = moments.map((at) => find("gpt-4o", { at })?.input);
    expect(inputs).toEqual([5_000_000_000n, 4_000_000_000n, 4_000_000_000n, 5_000_000_000n]);
  });

  test("the store before all, a tenant's own before everybody's", () => {
    const find = bookOf([
      record({}),
      record({ id: "p2", tenant: "acme", modelPattern: "*", tiers: [{ aboveInputTokens: 0, rates: { input: 2n } }] }),
    ]);
    expect(find("gpt-4o")).toEqual({ origin: "store", input: 1n, version: "store:p1@e1" });
    expect(find("gpt-4o", { tenant: "acme" })?.input).toBe(2n);
    expect(find("o3", { tenant: "other" })?.origin).toBe("package");
  });

  test("characters of a pattern are themselves, but for *", () => {
    const find = bookOf([record({ modelPattern: "a.b*(c)" })]);
    expect([find("a.bXX(c)")?.origin, find("aXb(c)")?.origin, find("a.b(c)x")?.origin]).toEqual(["store", undefined, undefined]);
  });

  test("many * in a pattern neither overlap nor make long names slow", () => {
    const find = bookOf([record({ modelPattern: "a*a" }), record({ id: "p9", modelPattern: `${"*a".repeat(40)}*b` })]);
    expect([find("a")?.origin, find("aa")?.origin, find("a".repeat(256) + "b")?.origin]).toEqual([undefined, "store", "store"]);
    expect(find("c" + "a".repeat(255))?.origin).toBeUndefined();
  });
});

describe("the data of the package", () => {
  test("every amount of every vendor of ours becomes the whole number that it is", () => {
    let amounts = 0;
    const book = new LayeredPriceBook({ typeOf: (name) => name, configured: [], usePackage: true });
    for (const [type, vendor] of Object.entries(vendorIds)) {
      const models = findProvider({ providerId: vendor })?.models ?? [];
      expect(models.length, vendor).toBeGreaterThan(0);
      for (const { id } of models) {
        const at = day("2026-09-01");
        const price = book.price({ tenant: "t", provider: type, model: id, at });
        const data = calcPrice({}, id, { providerId: vendor, timestamp: new Date(at) })?.model_price;
        for (const [name, rate] of [
          ["input_mtok", "input"],
          ["output_mtok", "output"],
          ["cache_read_mtok", "cache_read"],
        ] as const) {
          const amount = data?.[name];
          if (amount === undefined) continue;
          const base = typeof amount === "number" ? amount : amount.base;
          expect(Number(price?.tiers[0]?.rates[rate]), `${vendor} ${id} ${name}`).toBeCloseTo(base * 1e9, -1);
          amounts++;
        }
      }
    }
    expect(amounts).toBeGreaterThan(1_000);
  });

  test("its version is the package's own", () => {
    const manifest = JSON.parse(readFileSync(new URL("../../node_modules/@pydantic/genai-prices/package.json", import.meta.url), "utf8"));
    expect(bookOf()("o3")?.version).toBe(`genai-prices@${manifest.version}`);
  });
});

describe("prices of the store", () => {
  function stored(log: string[] = []) {
    const state = { version: 1, records: [record({})], away: false };
    const book = new LayeredPriceBook({ typeOf: (name) => name, configured: [], usePackage: false });
    const prices = new StoredPrices({
      store: {
        async version() {
          if (state.away) throw new Error("away");
          return state.version;
        },
        listAll: async ({ cursor }) => {
          const at = cursor === undefined ? 0 : Number(cursor);
          return { items: state.records.slice(at, at + 1), next: at + 1 < state.records.length ? String(at + 1) : undefined };
        },
      },
      book,
      log: { debug() {}, info: (message) => void log.push(message), warn: (message) => void log.push(message), error() {} },
      pollMs: 3_600_000,
    });
    return { state, prices, find: (model: string) => book.price({ tenant: "t", provider: "openai", model, at: 1 })?.version };
  }

  test("are read when they change, all pages, and only then", async () => {
    const { state, prices, find } = stored();
    await prices.refresh();
    expect(find("gpt-4o")).toBe("store:p1@e1");
    state.records = [record({ etag: "e2" }), record({ id: "p2", modelPattern: "o3" })];
    await prices.refresh();
    expect(find("gpt-4o")).toBe("store:p1@e1");
    state.version = 2;
    await prices.refresh();
    expect([find("gpt-4o"), find("o3")]).toEqual(["store:p1@e2", "store:p2@e1"]);
    prices.close();
  });

  test("hold on while the store is away; the log says so once, and once that it is back", async () => {
    const log: string[] = [];
    const { state, prices, find } = stored(log);
    await prices.refresh();
    state.away = true;
    await prices.refresh();
    await prices.refresh();
    expect(find("gpt-4o")).toBe("store:p1@e1");
    state.away = false;
    await prices.refresh();
    expect(log).toEqual(["stored prices cannot be read; those that are known hold", "stored prices can be read again"]);
    prices.close();
  });
});
