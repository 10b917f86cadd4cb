/** Prices that operators set over the built-in price book. */
import type { Page, PageRequest } from "./page.ts";

/** The tenant of a price that holds for everybody who has none of their own. */
export const everyTenant = "*";

export interface PriceTier {
  /** The tier counts for calls with more input tokens than this; 0 for the first. */
  readonly aboveInputTokens: number;
  /** Nano-dollars for 1 000 000 units, by what is counted: `input`, `output`, `cache_read`, `cache_write`, `requests`, ... Never negative. */
  readonly rates: Readonly<Record<string, bigint>>;
}

export interface PriceRecord {
  /** Whose price it is; `everyTenant`: of all. */
  readonly tenant: string;
  readonly id: string;
  readonly provider: string;
  /** A model's name, or a pattern with `*`. */
  readonly modelPattern: string;
  /** At least one, by rising `aboveInputTokens`. */
  readonly tiers: readonly PriceTier[];
  /** Milliseconds since 1970: holds for attempts that began then or later. */
  readonly effectiveFrom: number;
  /** And before this; undefined: without end. */
  readonly effectiveUntil: number | undefined;
  /** Where the price was read. */
  readonly source: string;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly etag: string;
}

export type NewPrice = Omit<PriceRecord, "tenant" | "createdAt" | "updatedAt" | "etag">;
export type PriceChanges = Partial<Omit<NewPrice, "id">>;

export interface PriceFilter {
  readonly provider?: string | undefined;
}

export interface PriceStore {
  create(tenant: string, price: NewPrice): Promise<PriceRecord>;
  get(tenant: string, id: string): Promise<PriceRecord | undefined>;
  /** By id. */
  list(tenant: string, filter: PriceFilter, page: PageRequest): Promise<Page<PriceRecord>>;
  update(tenant: string, id: string, changes: PriceChanges, etag?: string): Promise<PriceRecord>;
  delete(tenant: string, id: string, etag?: string): Promise<void>;
  /** Rises with every change to any price, deletions included; 0 where nothing ever changed. */
  version(): Promise<number>;
  /** The prices of all tenants, by tenant and id: what the gateway charges by. */
  listAll(page: PageRequest): Promise<Page<PriceRecord>>;
}
