/** For stores in memory: what a gateway was not asked to keep must not fill it. */
import type { LedgerStore } from "../core/ledger-store.ts";

/** Takes the first rows and lets the others go; their log lines remain. */
export function keepFirstRows(store: Pick<LedgerStore, "append">, most: number): Pick<LedgerStore, "append"> {
  let left = most;
  return {
    async append(rows) {
      const kept = rows.slice(0, left);
      left -= kept.length;
      return kept.length === 0 ? { inserted: 0, advanced: 0, repeated: 0 } : store.append(kept);
    },
  };
}
