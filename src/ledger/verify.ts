/** Whether the books are in order: journals form unbroken chains, nothing is left open, and sums are the sums of rows. */
import type { LedgerStore } from "../core/ledger-store.ts";
import type { Page, PageRequest } from "../core/page.ts";
import { defaultTenant } from "../core/principal.ts";
import type { TenantStore } from "../core/tenant-store.ts";
import { listDamaged, listOwners } from "./journal/journal-owner.ts";
import { replay } from "./journal/replay.ts";
import { checkSegment, hashSegment, JournalVersionError, listSegments, segmentName } from "./journal/segment.ts";

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
  for (const place of await listDamaged(journalRoot)) {
    const names = (await listSegments(place)).map(segmentName).join(", ");
    problems.push(
      `${place}: segments of a dead process were damaged (${names}); what could be read is settled. Remove it when you are done`,
    );
  }
  const reports: TenantReport[] = [];
  for (const tenant of await tenantsOf(tenants)) reports.push(await verifyTenant(tenant, ledger, problems));
  const open: string[] = [];
  for await (const { usageId } of readEach((page) => ledger.openRows(undefined, page))) open.push(usageId);
  if (open.length > 0) problems.push(`the store has ${open.length} rows that are neither settled nor released; the first is ${open[0]}`);
  return { journals, tenants: reports, problems };
}

async function verifyJournal(name: string, directory: string, alive: boolean, problems: string[]): Promise<JournalReport> {
  const numbers = await listSegments(directory);
  try {
    await verifyChain(name, directory, numbers, problems);
    const { ended, open } = await replay({ directory, batchRows: 1_000, deliver: async () => {} });
    if (!alive && open.length > 0) {
      problems.push(
        `journal ${name}: its process is dead and left ${open.length === 1 ? "one attempt" : `${open.length} attempts`} open; the next start settles what is left`,
      );
    }
    return { name, alive, segments: numbers.length, rows: ended, open: open.length };
  } catch (thrown) {
    if (!(thrown instanceof JournalVersionError)) throw thrown;
    problems.push(`journal ${name}: ${thrown.message}; a newer program wrote it, and can settle it`);
    return { name, alive, segments: numbers.length, rows: 0, open: 0 };
  }
}

async function verifyChain(name: string, directory: string, numbers: readonly number[], problems: string[]): Promise<void> {
  for (const [index, number] of numbers.entries()) {
    const { header, gaps, torn, bytes } = await checkSegment(directory, number);
    const place = `journal ${name}, segment ${number}`;
    if (header === undefined) problems.push(`${place}: has no header`);
    for (const gap of gaps) problems.push(`${place}: ${gap.bytes} bytes from byte ${gap.at} on are damaged`);
    // A process that died may have been writing; one that lives may be.
    if (torn && index < numbers.length - 1) problems.push(`${place}: is damaged from byte ${bytes} to its end`);
    const before = numbers[index - 1];
    if (before === undefined || header === undefined) continue;
    const { previous } = header;
    const isNext = before === number - 1 && previous !== undefined;
    if (!isNext || (await hashSegment(directory, before, previous.bytes)) !== previous.sha256) {
      problems.push(`${place}: does not continue segment ${before}; bytes were changed or a file is missing`);
    }
  }
}

async function verifyTenant(tenant: string, ledger: VerifyOptions["ledger"], problems: string[]): Promise<TenantReport> {
  // Rows that come meanwhile are in neither: what is younger than this moment is left out.
  const until = Date.now();
  const added = { attempts: 0n, inputTokens: 0n, outputTokens: 0n, costNano: 0n, chargeNano: 0n };
  let unpriced = 0;
  for await (const row of readEach((page) => ledger.scan(tenant, { state: "settled", until }, page))) {
    added.attempts++;
    added.inputTokens += BigInt(row.usage?.inputTokens ?? 0);
    added.outputTokens += BigInt(row.usage?.outputTokens ?? 0);
    added.costNano += row.costNano ?? 0n;
    added.chargeNano += row.chargeNano ?? 0n;
    if (row.costNano === undefined) unpriced++;
    if ((row.costNano ?? 0n) < 0n || (row.chargeNano ?? 0n) < 0n)
      problems.push(`tenant ${tenant}: row ${row.usageId} has a negative amount`);
  }
  const [sum] = await ledger.sum(tenant, { until }, { by: [] });
  for (const field of Object.keys(added) as (keyof typeof added)[]) {
    const [ours, theirs] = [added[field], BigInt(sum?.[field] ?? 0)];
    if (ours !== theirs) problems.push(`tenant ${tenant}: ${field} of the rows is ${ours}, the store's sum says ${theirs}`);
  }
  const { attempts, costNano, chargeNano } = added;
  return { tenant, rows: Number(attempts), costNano, chargeNano, unpriced, estimated: Number(sum?.estimated ?? 0) };
}

async function tenantsOf(tenants: Pick<TenantStore, "list">): Promise<ReadonlySet<string>> {
  const ids = new Set([defaultTenant]);
  for await (const { id } of readEach((page) => tenants.list(page))) ids.add(id);
  return ids;
}

/** A page at a time: there may be millions. */
async function* readEach<Item>(list: (page: PageRequest) => Promise<Page<Item>>): AsyncGenerator<Item> {
  for (let cursor: string | undefined; ; ) {
    const { items, next } = await list({ size: 1_000, cursor });
    yield* items;
    if (next === undefined) return;
    cursor = next;
  }
}
