/** The ledger at rest. Rows come from the journal, at least once; by `usageId` each has its effect exactly once. */
import type { LedgerIntent, LedgerRow, LedgerSettlement } from "./ledger-row.ts";
import type { Page, PageRequest } from "./page.ts";

export interface LedgerFilter {
  readonly project?: string | undefined;
  readonly principal?: string | undefined;
  readonly endUser?: string | undefined;
  readonly requestId?: string | undefined;
  readonly requestedModel?: string | undefined;
  readonly upstreamModel?: string | undefined;
  readonly provider?: string | undefined;
  readonly route?: string | undefined;
  readonly state?: LedgerRow["state"] | undefined;
  /** Milliseconds since 1970, of the row's start: from this on. */
  readonly from?: number | undefined;
  /** Before this. */
  readonly until?: number | undefined;
}

export type LedgerDimension =
  | "project"
  | "principal"
  | "endUser"
  | "requestedModel"
  | "upstreamModel"
  | "provider"
  | "route"
  | "surface"
  | "operation"
  | "outcome";

export interface LedgerGrouping {
  readonly by: readonly LedgerDimension[];
  /** Also by spans of so many milliseconds, counted from 1970; undefined: not by time. */
  readonly bucketMs?: number | undefined;
}

/** Settled rows of one group, added up. */
export interface LedgerSum {
  /** The group's value of each dimension that was asked for. */
  readonly group: Readonly<Partial<Record<LedgerDimension, string>>>;
  /** Start of the span; undefined where not grouped by time. */
  readonly bucket: number | undefined;
  readonly attempts: number;
  /** Different calls. */
  readonly calls: number;
  readonly errors: number;
  /** Rows without a price, which the money leaves out. */
  readonly unpriced: number;
  /** Rows whose usage is an estimate. */
  readonly estimated: number;
  readonly inputTokens: bigint;
  readonly outputTokens: bigint;
  readonly cacheReadTokens: bigint;
  readonly cacheWriteTokens: bigint;
  readonly reasoningTokens: bigint;
  readonly costNano: bigint;
  readonly chargeNano: bigint;
}

export interface LedgerPrice {
  readonly usageId: string;
  readonly costNano: bigint | undefined;
  readonly chargeNano: bigint | undefined;
  readonly pricingVersion: string;
}

export interface LedgerAppendResult {
  /** Rows that were not there. */
  readonly inserted: number;
  /** Rows that went on in their life: reserved, dispatched, then settled or released. */
  readonly advanced: number;
  /** Rows that stood as far or further already: nothing was done. */
  readonly repeated: number;
}

export interface LedgerStore {
  /**
   * Writes rows in whatever state, in one transaction. A row that was settled or released never changes again; in a batch
   * the furthest state of a `usageId` counts. A `usageId` that another tenant has is refused as `already_exists`.
   */
  append(rows: readonly LedgerRow[]): Promise<LedgerAppendResult>;
  /** Rows for intents, `reserved`; those that stand already stay as they are. */
  open(intents: readonly LedgerIntent[]): Promise<LedgerAppendResult>;
  /** Ends one. `repeated` where it was over already, `absent` where no intent stands. */
  settle(tenant: string, settlement: LedgerSettlement): Promise<"settled" | "repeated" | "absent">;
  get(tenant: string, usageId: string): Promise<LedgerRow | undefined>;
  /** Newest first. */
  list(tenant: string, filter: LedgerFilter, page: PageRequest): Promise<Page<LedgerRow>>;
  /** Oldest first, for re-rating and verification: a row that is inserted meanwhile may or may not be met. */
  scan(tenant: string, filter: LedgerFilter, page: PageRequest): Promise<Page<LedgerRow>>;
  /** Rows that are neither settled nor released, oldest first, over all tenants; with an epoch those of that process. */
  openRows(epoch: string | undefined, page: PageRequest): Promise<Page<LedgerRow>>;
  /** Sums over settled rows, greatest charge first, by time where grouped by it; at most 10 000 groups. */
  sum(tenant: string, filter: LedgerFilter, grouping: LedgerGrouping): Promise<readonly LedgerSum[]>;
  /** What settled rows cost together, in nano-dollars: as in `sum`, and found sooner. */
  spent(tenant: string, filter: LedgerFilter): Promise<bigint>;
  /** New prices of settled rows, in one transaction; how many rows were there. */
  rerate(tenant: string, prices: readonly LedgerPrice[]): Promise<number>;
}
