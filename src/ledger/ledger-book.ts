/** The ledger of this process: which attempts are open, and one row for each when it is over. */
import type { AttemptEnding, AttemptIntent, CallOutcome, Checkpoint, Ledger, LedgerTap } from "../core/ledger.ts";
import type { LedgerIntent, LedgerRow, LedgerSettlement } from "../core/ledger-row.ts";
import type { Logger } from "../core/log.ts";

/** What outlives the process. */
export interface AttemptJournal {
  /** A promise where the record is not kept yet; throws or rejects with GatewayError `ledger_unavailable`. */
  begin(intent: LedgerIntent): Promise<void> | undefined;
  /** Never throws, never waits. */
  checkpoint(usageId: string, checkpoint: Checkpoint): void;
  /** Never throws, never waits. */
  settle(settlement: LedgerSettlement): void;
}

export interface LedgerBookOptions {
  /** Id of this process among all that ever wrote. */
  readonly epoch: string;
  /** Absent: what is open dies with the process. */
  readonly journal?: AttemptJournal | undefined;
  /** Takes finished rows on to the store. */
  readonly ship: (row: LedgerRow) => void;
  readonly taps: readonly LedgerTap[];
  readonly log: Logger;
}

export class LedgerBook implements Ledger {
  readonly #options: LedgerBookOptions;
  readonly #open = new Map<string, LedgerIntent>();
  #repeated = 0;

  constructor(options: LedgerBookOptions) {
    this.#options = options;
  }

  /** Attempts that have begun and are not over. */
  get open(): number {
    return this.#open.size;
  }

  /** Settlements that came for an attempt that was over: a fault of the program. */
  get repeated(): number {
    return this.#repeated;
  }

  begin(intent: AttemptIntent): Promise<void> | undefined {
    const kept: LedgerIntent = { ...intent, epoch: this.#options.epoch };
    const waiting = this.#options.journal?.begin(kept);
    this.#open.set(kept.usageId, kept);
    return waiting?.catch((thrown: unknown) => {
      this.#open.delete(kept.usageId);
      throw thrown;
    });
  }

  checkpoint(usageId: string, checkpoint: Checkpoint): void {
    if (this.#open.has(usageId)) this.#options.journal?.checkpoint(usageId, checkpoint);
  }

  settle(ending: AttemptEnding): void {
    const { settlement } = ending;
    const intent = this.#open.get(settlement.usageId);
    if (intent === undefined) {
      this.#repeated++;
      this.#options.log.error("an attempt was settled that is not open", { usage_id: settlement.usageId, outcome: settlement.outcome });
      return;
    }
    this.#open.delete(settlement.usageId);
    this.#options.journal?.settle(settlement);
    this.#options.ship({ ...intent, ...settlement });
    for (const tap of this.#options.taps) tap.attemptEnded?.(ending);
  }

  callEnded(outcome: CallOutcome): void {
    for (const tap of this.#options.taps) tap.callEnded?.(outcome);
  }
}
