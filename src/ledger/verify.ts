/** Whether the books are in order: journals form unbroken chains, nothing is left open, and sums are the sums of rows. */
import type { LedgerRow } from "../core/ledger-row.ts";
import type { LedgerStore, LedgerSum } from "../core/ledger-store.ts";
import type { PageRequest } from "../core/page.ts";
import { defaultTenant } from "../core/principal.ts";
import type { TenantStore } from "../core/tenant-store.ts";
import { listOwners } from "./journal/journal-owner.ts";
import { replay } from "./journal/replay.ts";
import { checkSegment, hashSegment, listSegments } from "./journal/segment.ts";

export interface JournalReport {
  /** Of the directory: the process's epoch. */
  readonly name: string;
  /** Whether its process runs; its open attempts are under way then. */
  readonly alive: boolean;
  readonly segments: number;
  /** Rows that are over, of segments that are still there. */
  readonly rows: number;
  readonly open: number;
}

export interface TenantReport {
  readonly tenant: string;
  readonly rows: number;
  readonly costNano: bigint;
  readonly chargeNano: bigint;
  /** Rows without a price. */
  readonly unpriced: number;
  /** Rows whose usage is an estimate. */
  readonly estimated: number;
}

export interface LedgerReport {
  readonly journals: readonly JournalReport[];
  readonly tenants: readonly TenantReport[];
  /** What is wrong, for people; empty where all is well. */
  readonly problems: readonly string[];
}

export interface VerifyOptions {
  readonly journalRoot: string;
  readonly ledger: Pick<LedgerStore, "scan" | "sum" | "openRows">;
  readonly tenants: Pick<TenantStore, "list">;
}

/** Reads only; a gateway may run meanwhile. Rejects where the store is away. */
export async function verifyLedger({ journalRoot, ledger, tenants }: VerifyOptions): Promise<LedgerReport> {
  const problems: string[] = [];
  const journals: JournalReport[] = [];
  for (const { name, directory, alive } of await listOwners(journalRoot)) {
    journals.push(await verifyJournal(name, directory, alive, problems));
  }
  const reports: TenantReport[] = [];
  for (const tenant of await tenantsOf(tenants)) reports.push(await verifyTenant(tenant, ledger, problems));
  const open = await readAll((page) => ledger.openRows(undefined, page));
  if (open.length > 0)
    problems.push(`the store has ${open.length} rows that are neither settled nor released; the first is ${open[0]?.usageId}`);
  return { journals, tenants: reports, problems };
}

async function verifyJournal(name: string, directory: string, alive: boolean, problems: string[]): Promise<JournalReport> {
  const numbers = await listSegments(directory);
  for (const [index, number] of numbers.entries()) {
    const { header, torn } = await checkSegment(directory, number);
    const place = `journal ${name}, segment ${number}`;
    if (header === undefined) problems.push(`${place}: has no header`);
    // A process that died may have been writing; one that lives may be.
    if (torn && index < numbers.length - 1) problems.push(`${place}: is damaged before its end`);
    const before = numbers[index - 1];
    if (before === undefined || header === undefined) continue;
    const { previous } = header;
    const isNext = before === number - 1 && previous !== undefined;
    if (!isNext || (await hashSegment(directory, before, previous.bytes)) !== previous.sha256) {
      problems.push(`${place}: does not continue segment ${before}; bytes were changed or a file is missing`);
    }
  }
  const { ended, open } = await replay({ directory, batchRows: 1_000, deliver: async () => {} });
  if (!alive && open.length > 0) {
    problems.push(
      `journal ${name}: its process is dead and left ${open.length === 1 ? "one attempt" : `${open.length} attempts`} open; the next start settles what is left`,
    );
  }
  return { name, alive, segments: numbers.length, rows: ended, open: open.length };
}

async function verifyTenant(tenant: string, ledger: VerifyOptions["ledger"], problems: string[]): Promise<TenantReport> {
  // Rows that come meanwhile are in neither: what is younger than this moment is left out.
  const until = Date.now();
  const rows = await readAll((page) => ledger.scan(tenant, { state: "settled", until }, page));
  const [sum] = await ledger.sum(tenant, { until }, { by: [] });
  const negative = rows.find((row) => (row.costNano ?? 0n) < 0n || (row.chargeNano ?? 0n) < 0n);
  if (negative !== undefined) problems.push(`tenant ${tenant}: row ${negative.usageId} has a negative amount`);
  const added = addRows(rows);
  for (const [field, ours, theirs] of differences(added, sum)) {
    problems.push(`tenant ${tenant}: ${field} of the rows is ${ours}, the store's sum says ${theirs}`);
  }
  const { costNano, chargeNano } = added;
  const unpriced = rows.filter((row) => row.costNano === undefined).length;
  return { tenant, rows: rows.length, costNano, chargeNano, unpriced, estimated: Number(sum?.estimated ?? 0) };
}

interface Added {
  readonly attempts: bigint;
  readonly inputTokens: bigint;
  readonly outputTokens: bigint;
  readonly costNano: bigint;
  readonly chargeNano: bigint;
}

function addRows(rows: readonly LedgerRow[]): Added {
  const total = (pick: (row: LedgerRow) => bigint | number | undefined) => rows.reduce((sum, row) => sum + BigInt(pick(row) ?? 0), 0n);
  return {
    attempts: BigInt(rows.length),
    inputTokens: total(({ usage }) => usage?.inputTokens),
    outputTokens: total(({ usage }) => usage?.outputTokens),
    costNano: total(({ costNano }) => costNano),
    chargeNano: total(({ chargeNano }) => chargeNano),
  };
}

function differences(added: Added, sum: LedgerSum | undefined): (readonly [string, bigint, bigint])[] {
  const fields = Object.keys(added) as (keyof Added)[];
  return fields.map((field) => [field, added[field], BigInt(sum?.[field] ?? 0)] as const).filter(([, ours, theirs]) => ours !== theirs);
}

async function tenantsOf(tenants: Pick<TenantStore, "list">): Promise<ReadonlySet<string>> {
  const records = await readAll((page) => tenants.list(page));
  return new Set([defaultTenant, ...records.map(({ id }) => id)]);
}

async function readAll<Item>(
  list: (page: PageRequest) => Promise<{ readonly items: readonly Item[]; readonly next: string | undefined }>,
): Promise<Item[]> {
  const all: Item[] = [];
  for (let cursor: string | undefined; ; ) {
    const { items, next } = await list({ size: 1_000, cursor });
    all.push(...items);
    if (next === undefined) return all;
    cursor = next;
  }
}
