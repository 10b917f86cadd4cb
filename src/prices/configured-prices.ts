/** `prices` of the configuration as rules. */
import { readDollars } from "../core/money.ts";
import { everyTenant, type PriceTier } from "../core/price-store.ts";
import type { PriceRule } from "./price-rules.ts";

/** As the configuration has it, checked: rates are decimal dollars for 1 000 000 units. */
export interface ConfiguredPrice {
  readonly provider: string;
  readonly model: string;
  readonly rates: Readonly<Record<string, string>>;
  readonly tiers: readonly { readonly above_input_tokens: number; readonly rates: Readonly<Record<string, string>> }[];
  readonly effective_from?: string | undefined;
  readonly effective_until?: string | undefined;
  readonly source?: string | undefined;
}

export function readConfiguredPrices(prices: readonly ConfiguredPrice[]): PriceRule[] {
  return prices.map(({ provider, model, rates, tiers, effective_from: from, effective_until: until, source }) => ({
    tenant: everyTenant,
    provider,
    modelPattern: model,
    tiers: [
      { aboveInputTokens: 0, rates: readRates(rates) },
      ...tiers
        .map(({ above_input_tokens: aboveInputTokens, rates }): PriceTier => ({ aboveInputTokens, rates: readRates(rates) }))
        .sort((left, right) => left.aboveInputTokens - right.aboveInputTokens),
    ],
    effectiveFrom: from === undefined ? 0 : Date.parse(from),
    effectiveUntil: until === undefined ? undefined : Date.parse(until),
    version: `config:${provider}/${model}${from === undefined ? "" : `@${from}`}`,
    source: source ?? "config",
  }));
}

function readRates(rates: Readonly<Record<string, string>>): Record<string, bigint> {
  return Object.fromEntries(
    Object.entries(rates).map(([name, dollars]) => {
      const nano = readDollars(dollars);
      if (nano === undefined) throw new Error(`the rate ${name} is no amount`);
      return [name, nano];
    }),
  );
}
