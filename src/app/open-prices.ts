import type { Config } from "../config/schema.ts";
import type { Logger } from "../core/log.ts";
import type { Stores } from "../core/stores.ts";
import { readConfiguredPrices } from "../prices/configured-prices.ts";
import { LayeredPriceBook } from "../prices/price-book.ts";
import { StoredPrices } from "../prices/stored-prices.ts";

export interface OpenedPrices {
  readonly book: LayeredPriceBook;
  /** Reads stored prices anew where they changed. Never throws. */
  refresh(): Promise<void>;
  close(): void;
}

/** Prices of the store before configured ones before the price data of the program. `types` has kinds of vendors by provider. */
export async function openPrices(
  config: Config,
  stores: Pick<Stores, "prices">,
  types: ReadonlyMap<string, string>,
  log: Logger,
): Promise<OpenedPrices> {
  const { prices, price_data: data } = config;
  const book = new LayeredPriceBook({
    typeOf: (provider) => types.get(provider),
    configured: readConfiguredPrices(prices),
    usePackage: data.enabled,
  });
  const stored = new StoredPrices({ store: stores.prices, book, log, pollMs: data.refresh_seconds * 1_000 });
  await stored.refresh();
  return { book, refresh: () => stored.refresh(), close: () => stored.close() };
}
