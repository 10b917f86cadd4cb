/** What was spent since a window began, from the ledger: a budget does not begin anew because a process does. */
import type { LedgerFilter, LedgerStore } from "../core/ledger-store.ts";
import type { SpentBefore } from "./limiter.ts";
import type { HeldLimit } from "./rule-book.ts";

export function createSpentBefore(ledger: Pick<LedgerStore, "spent">): SpentBefore {
  return async (tenant, limit, from) => {
    let most = 0n;
    for (const filter of filtersOf(limit)) {
      const spent = await ledger.spent(tenant, { ...filter, from });
      if (spent > most) most = spent;
    }
    return most;
  };
}

/** Rows of the subject; by several names of it the largest sum holds. */
function filtersOf({ rule: { subject }, subjectId }: HeldLimit): readonly LedgerFilter[] {
  switch (subject) {
    case "tenant":
      return [{}];
    case "project":
      return [{ project: subjectId }];
    // The ledger does not know owners; rules for them have no budget.
    case "owner":
      return [];
    case "key":
      return [{ principal: subjectId }];
    case "end_user":
      return [{ endUser: subjectId }];
    case "route":
      return [{ route: subjectId }];
    case "model": {
      const slash = subjectId.indexOf("/");
      const asked = { requestedModel: subjectId };
      if (slash < 0) return [asked, { upstreamModel: subjectId }];
      return [asked, { provider: subjectId.slice(0, slash), upstreamModel: subjectId.slice(slash + 1) }];
    }
  }
}
