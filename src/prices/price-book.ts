/** Which price holds: one of the store, else one of the configuration, else one of the price data. */
import type { Page, PageRequest } from "../core/page.ts";
import type { PriceRecord } from "../core/price-store.ts";
import type { Price, PriceBook, PriceQuery } from "../core/pricing.ts";
import { PackagePrices } from "./package-prices.ts";
import { type PriceRule, PriceRules } from "./price-rules.ts";
import { vendorIds } from "./vendors.ts";

export interface PriceBookOptions {
  /** The type of a configured provider; undefined where there is none of that name. */
  typeOf(provider: string): string | undefined;
  readonly configured: readonly PriceRule[];
  /** Whether the price data counts. */
  readonly usePackage: boolean;
}

/** Who says what a price is. */
export type PriceOrigin = "store" | "config" | "package";

export class LayeredPriceBook implements PriceBook {
  readonly #typeOf: PriceBookOptions["typeOf"];
  readonly #configured: PriceRules;
  readonly #package: PackagePrices | undefined;
  #stored = new PriceRules([]);

  constructor({ typeOf, configured, usePackage }: PriceBookOptions) {
    this.#typeOf = typeOf;
    this.#configured = new PriceRules(configured);
    this.#package = usePackage ? new PackagePrices() : undefined;
  }

  price(query: PriceQuery): Price | undefined {
    return this.explain(query)?.price;
  }

  /** The price with who says it. */
  explain(query: PriceQuery): { readonly price: Price; readonly origin: PriceOrigin } | undefined {
    const stored = this.#stored.find(query);
    if (stored !== undefined) return { price: stored, origin: "store" };
    const configured = this.#configured.find(query);
    if (configured !== undefined) return { price: configured, origin: "config" };
    const vendor = vendorIds[this.#typeOf(query.provider) ?? ""];
    const packaged = vendor === undefined ? undefined : this.#package?.find(vendor, query.model, query.at);
    return packaged === undefined ? undefined : { price: packaged, origin: "package" };
  }

  /** Takes the prices of the store, all of them. */
  useStored(records: readonly PriceRecord[]): void {
    this.#stored = new PriceRules(records.map(ruleOf));
  }
}

function ruleOf(record: PriceRecord): PriceRule {
  return { ...record, version: `store:${record.id}@${record.etag}`, source: record.source === "" ? `store:${record.id}` : record.source };
}

/** Every record of a list, page by page. */
export async function readAll<Item>(list: (page: PageRequest) => Promise<Page<Item>>): Promise<Item[]> {
  const items: Item[] = [];
  let cursor: string | undefined;
  do {
    const page = await list({ size: 1_000, cursor });
    items.push(...page.items);
    cursor = page.next;
  } while (cursor !== undefined);
  return items;
}
