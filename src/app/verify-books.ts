import type { Config } from "../config/schema.ts";
import type { Logger } from "../core/log.ts";
import { journalRoot } from "../ledger/open-ledger.ts";
import { type LedgerReport, verifyLedger } from "../ledger/verify.ts";
import { openStores } from "./open-stores.ts";

/** Reads journals and rows, and says what is wrong with them; for commands. */
export async function verifyBooks(config: Config, log: Logger): Promise<LedgerReport> {
  const stores = await openStores(config, log);
  try {
    return await verifyLedger({ journalRoot: journalRoot(config.data_dir), ledger: stores.ledger, tenants: stores.tenants });
  } finally {
    await stores.close();
  }
}
