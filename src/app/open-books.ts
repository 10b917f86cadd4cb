import type { Config } from "../config/schema.ts";
import { systemClock } from "../core/clock.ts";
import type { LedgerTap } from "../core/ledger.ts";
import type { Logger } from "../core/log.ts";
import type { PriceBook } from "../core/pricing.ts";
import type { Stores } from "../core/stores.ts";
import { keepFirstRows } from "../ledger/keep-first-rows.ts";
import { journalRoot, type OpenLedger, openLedger } from "../ledger/open-ledger.ts";

export interface BooksParts {
  readonly stores: Stores;
  readonly prices: PriceBook;
  /** Told of every attempt. */
  readonly taps: readonly LedgerTap[];
  readonly log: Logger;
}

/** What was spent, and the journal that keeps it until it is stored. Throws StartError where the journal cannot be written. */
export function openBooks({ ledger, data_dir: dataDir }: Config, { stores, prices, taps, log }: BooksParts): Promise<OpenLedger> {
  const isKept = stores.engine !== "memory";
  return openLedger({
    mode: ledger.journal ?? (isKept ? "os" : "memory"),
    journalRoot: journalRoot(dataDir),
    segmentBytes: ledger.segment_bytes,
    maxJournalBytes: ledger.max_journal_bytes,
    reserveBytes: ledger.reserve_bytes,
    maxQueuedRows: ledger.max_queued_rows,
    store: isKept ? stores.ledger : keepFirstRows(stores.ledger, ledger.memory_rows),
    chargesFailures: ledger.charge_policy === "all_attempts",
    prices,
    taps,
    clock: systemClock,
    log,
  });
}
