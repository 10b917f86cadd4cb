import type { Migration } from "./migration.ts";

/** A budget of a key or of an end user begins with what the ledger says of it: not every one is to look at all rows of the month. */
export const ledgerBySpender: Migration = {
  version: 3,
  name: "the ledger by key and by end user",
  statements: [
    // Each ends like a page's order, as those of the request log do.
    "CREATE INDEX ledger_by_principal ON ledger (tenant, principal, started_at, usage_id)",
    "CREATE INDEX ledger_by_end_user ON ledger (tenant, end_user, started_at, usage_id)",
  ],
};
