/**
 * The price data of `@pydantic/genai-prices`: it lies in the package, nothing is fetched. The package finds a model's price;
 * its amounts, which are floats, become whole nano-dollars once for each price, and costs are never computed by it.
 */
import { readFileSync } from "node:fs";
import { calcPrice, type ModelPrice, type Provider, type TieredPrices } from "@pydantic/genai-prices";
import { readDollars } from "../core/money.ts";
import type { PriceTier } from "../core/price-store.ts";
import { type Price, rateNames } from "../core/pricing.ts";
import { tierPercents } from "./vendors.ts";

/** What the data's amounts are of, as our rates; amounts are for 1 000 000 of it, or 1 000 (`kcount`). What is not here is not counted by us. */
const rateOf: Readonly<Record<string, readonly string[]>> = {
  input_mtok: ["input"],
  cache_read_mtok: ["cache_read"],
  cache_write_mtok: ["cache_write"],
  cache_write_1h_mtok: ["cache_write_1h"],
  input_audio_mtok: ["audio_input"],
  input_image_mtok: ["image_input"],
  input_video_mtok: ["video_input"],
  output_mtok: ["output"],
  output_reasoning_mtok: ["reasoning"],
  output_audio_mtok: ["audio_output"],
  output_image_mtok: ["image_output"],
  requests_kcount: ["requests"],
  // Names of vendors for the same thing: Anthropic's counter, and that of xAI.
  web_searches_kcount: ["tool.web_search_requests", "tool.web_search"],
};

const thousands = /_kcount$/;

/** Names of models come from clients: more of them are looked up anew. */
const maxRemembered = 10_000;

export class PackagePrices {
  readonly version: string;
  /** By vendor and model: a price that holds at all times, undefined where none is known, or `dated`. */
  readonly #found = new Map<string, Price | undefined | "dated">();
  readonly #converted = new WeakMap<ModelPrice, Price>();

  constructor() {
    const manifest: unknown = JSON.parse(readFileSync(new URL("../package.json", import.meta.resolve("@pydantic/genai-prices")), "utf8"));
    this.version = `genai-prices@${(manifest as { readonly version: string }).version}`;
  }

  /** `vendor` is the data's name; `at` is milliseconds since 1970. */
  find(vendor: string, model: string, at: number): Price | undefined {
    const key = `${vendor}\n${model}`;
    const known = this.#found.get(key);
    if (known !== "dated" && (known !== undefined || this.#found.has(key))) return known;
    // Without usage nothing is computed: only the model is looked up, and which of its prices holds then.
    const found = calcPrice({}, model, { providerId: vendor, timestamp: new Date(at) });
    const price = found === null ? undefined : this.#convert(found.model_price, vendor, found.provider);
    if (known === undefined) {
      if (this.#found.size >= maxRemembered) this.#found.clear();
      this.#found.set(key, found !== null && Array.isArray(found.model.prices) ? "dated" : price);
    }
    return price;
  }

  #convert(modelPrice: ModelPrice, vendor: string, { pricing_urls: urls = [] }: Provider): Price | undefined {
    const before = this.#converted.get(modelPrice);
    if (before !== undefined) return before;
    const tiers = readTiers(modelPrice, tierPercents[vendor] ?? {});
    if (Object.keys(tiers[0]?.rates ?? {}).length === 0) return undefined;
    const price = { tiers, version: this.version, source: urls[0] ?? this.version };
    this.#converted.set(modelPrice, price);
    return price;
  }
}

/** Every rate of the first tier, and for each size of input the rates that change there. */
function readTiers(modelPrice: ModelPrice, percents: Readonly<Record<string, bigint>>): PriceTier[] {
  const bySize = new Map<number, Record<string, bigint>>([[0, {}]]);
  const set = (size: number, name: string, dollars: number): void => {
    const rates = bySize.get(size) ?? {};
    bySize.set(size, rates);
    const nano = readDollars(String(dollars));
    if (nano === undefined) return;
    for (const rate of rateOf[name] ?? []) {
      rates[rate] = thousands.test(name) ? nano * 1_000n : nano;
      if (!(rateNames as readonly string[]).includes(rate)) continue;
      for (const [tier, percent] of Object.entries(percents)) rates[`${tier}.${rate}`] = (nano * percent) / 100n;
    }
  };
  for (const [name, amount] of Object.entries(modelPrice)) {
    if (rateOf[name] === undefined || amount === undefined) continue;
    if (typeof amount === "number") set(0, name, amount);
    else setTiers(amount, (size, dollars) => set(size, name, dollars));
  }
  return [...bySize].sort(([left], [right]) => left - right).map(([aboveInputTokens, rates]) => ({ aboveInputTokens, rates }));
}

function setTiers({ base, tiers }: TieredPrices, set: (size: number, dollars: number) => void): void {
  set(0, base);
  for (const { start, price } of tiers) set(start, price);
}
