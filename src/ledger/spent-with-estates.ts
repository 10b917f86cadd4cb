/** What was spent, with what dead processes left: a budget that began without it would be passed by as much. */
import { GatewayError } from "../core/error.ts";
import type { LedgerStore } from "../core/ledger-store.ts";

/** How long a call may wait for it: the store may be away. */
const patienceMs = 2_000;

/** `inherited` resolves when the store has the rows of processes that died before. */
export function spentWithEstates(store: Pick<LedgerStore, "spent">, inherited: Promise<void>): Pick<LedgerStore, "spent"> {
  return {
    async spent(tenant, filter) {
      const late = Promise.withResolvers<never>();
      const timer = setTimeout(() => late.reject(notYet()), patienceMs).unref();
      try {
        await Promise.race([inherited, late.promise]);
      } finally {
        clearTimeout(timer);
      }
      return store.spent(tenant, filter);
    },
  };
}

function notYet(): GatewayError {
  return new GatewayError("store_unavailable", "what a process that died has spent is not in the ledger yet; repeat the call later", {
    retryAfterMs: 1_000,
    undispatched: true,
  });
}
