/** Every step of the schema, in order. */
import { firstSchema } from "./0001-first-schema.ts";
import { auditNeverEmptied } from "./0002-audit-never-emptied.ts";
import { ledgerBySpender } from "./0003-ledger-by-spender.ts";
import { requestLogBySize } from "./0004-request-log-by-size.ts";
import type { Migration } from "./migration.ts";

export const migrations: readonly Migration[] = [firstSchema, auditNeverEmptied, ledgerBySpender, requestLogBySize];
