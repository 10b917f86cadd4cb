/** The ledger beside the bill that the simulated upstream kept. Requests say who they are by a name such as `kill-17`. */
import { UsageBasis } from "../../gen/dragoman/v1/usage_pb.ts";
import type { LedgerRow } from "../../src/core/ledger-row.ts";
import type { LedgerStore } from "../../src/core/ledger-store.ts";
import type { SimServer } from "../../src/sim/server/start-sim.ts";

export interface Comparison {
  /** Requests that reached the upstream's model. */
  readonly billed: number;
  /** Of them those without a row. */
  readonly lost: number;
  /** Requests with more rows than one. */
  readonly double: number;
  /** Rows that a crash ended. */
  readonly crashed: number;
  /** Rows of the provider's own counts that differ from its bill. */
  readonly wrong: number;
}

/** Each request named itself as its end user, and in its body. */
export function compareWithBill(rows: readonly LedgerRow[], sim: Pick<SimServer, "bill" | "requests">): Comparison {
  const users = new Map(sim.requests().map(({ id, body }) => [id, userOf(body)]));
  const bills = sim.bill().map((bill) => ({ ...bill, user: users.get(bill.id) ?? "" }));
  const rowsByUser = Map.groupBy(rows, ({ endUser }) => endUser);
  const isExact = ({ user, inputTokens, outputTokens }: (typeof bills)[number]) => {
    const usage = rowsByUser.get(user)?.[0]?.usage;
    return usage?.basis !== UsageBasis.PROVIDER || (usage.inputTokens === inputTokens && usage.outputTokens === outputTokens);
  };
  return {
    billed: bills.length,
    lost: bills.filter(({ user }) => !rowsByUser.has(user)).length,
    double: [...rowsByUser.values()].filter(({ length }) => length > 1).length,
    crashed: rows.filter(({ outcome }) => outcome === "crash").length,
    wrong: bills.filter((bill) => !isExact(bill)).length,
  };
}

export async function readAllRows(ledger: Pick<LedgerStore, "scan">): Promise<LedgerRow[]> {
  const rows: LedgerRow[] = [];
  for (let cursor: string | undefined; ; ) {
    const page = await ledger.scan("default", {}, { size: 1_000, cursor });
    rows.push(...page.items);
    if (page.next === undefined) return rows;
    cursor = page.next;
  }
}

/** The script's id, wherever a wire format puts the user's text. */
function userOf(body: unknown): string {
  return /\b(?:kill|soak)-\d+\b/.exec(JSON.stringify(body) ?? "")?.[0] ?? "";
}
