/** Prices rows of the past again: each by the price that holds for the time when it began. */
import type { LedgerRow } from "../core/ledger-row.ts";
import type { LedgerFilter, LedgerPrice, LedgerStore } from "../core/ledger-store.ts";
import { costOf, type PriceBook, pricingVersionOf } from "../core/pricing.ts";

export interface RerateOptions {
  readonly ledger: Pick<LedgerStore, "scan" | "rerate">;
  readonly prices: PriceBook;
}

export interface RerateRequest {
  readonly tenant: string;
  /** Milliseconds since 1970: rows that began then or later, and before `until`. */
  readonly from: number;
  readonly until: number;
  readonly provider?: string | undefined;
  readonly upstreamModel?: string | undefined;
  /** Nothing is changed. */
  readonly dryRun: boolean;
}

/** Since the beginning; nano-dollars. */
export interface RerateProgress {
  readonly rows: number;
  readonly changed: number;
  readonly unpriced: number;
  readonly costBefore: bigint;
  readonly costAfter: bigint;
  /** When the last row that was looked at began. */
  readonly position: number | undefined;
  readonly done: boolean;
}

/** Rows of one transaction. */
const batchSize = 500;

/** Says after each batch how far it is; what is left early stands as far as it came. Throws what the store throws. */
export async function* rerateRows({ ledger, prices }: RerateOptions, request: RerateRequest): AsyncGenerator<RerateProgress> {
  const { tenant, from, until, provider, upstreamModel, dryRun } = request;
  const filter: LedgerFilter = { state: "settled", from, until, provider, upstreamModel };
  let progress: RerateProgress = { rows: 0, changed: 0, unpriced: 0, costBefore: 0n, costAfter: 0n, position: undefined, done: false };
  let cursor: string | undefined;
  do {
    const { items, next } = await ledger.scan(tenant, filter, { size: batchSize, cursor });
    const priced = items.map((row) => ({ row, price: priceOf(row, prices) }));
    const changes = priced.flatMap(({ row, price }) => (differs(row, price) ? [price] : []));
    if (!dryRun && changes.length > 0) await ledger.rerate(tenant, changes);
    progress = {
      rows: progress.rows + items.length,
      changed: progress.changed + changes.length,
      unpriced: progress.unpriced + priced.filter(({ price }) => price.costNano === undefined).length,
      costBefore: items.reduce((sum, { costNano }) => sum + (costNano ?? 0n), progress.costBefore),
      costAfter: priced.reduce((sum, { price: { costNano } }) => sum + (costNano ?? 0n), progress.costAfter),
      position: items.at(-1)?.startedAt ?? progress.position,
      done: next === undefined,
    };
    cursor = next;
    yield progress;
  } while (cursor !== undefined);
}

function priceOf(row: LedgerRow, prices: PriceBook): LedgerPrice {
  const { usageId, usage, costNano, chargeNano, pricingVersion } = row;
  // Nothing was billed: no price changes that.
  if (usage === undefined) return { usageId, costNano, chargeNano, pricingVersion };
  const price = prices.price({ tenant: row.tenant, provider: row.provider, model: row.upstreamModel, at: row.startedAt });
  const cost = costOf(usage, price);
  return { usageId, costNano: cost, chargeNano: wasCharged(row) ? cost : 0n, pricingVersion: pricingVersionOf(usage, price) };
}

/** Who was charged stays as it was decided then; only how much changes. */
function wasCharged({ status, chargeNano }: LedgerRow): boolean {
  return status === "success" || status === "cancelled" || chargeNano !== 0n;
}

function differs(row: LedgerRow, price: LedgerPrice): boolean {
  return row.costNano !== price.costNano || row.chargeNano !== price.chargeNano || row.pricingVersion !== price.pricingVersion;
}
