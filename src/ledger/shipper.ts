/** Takes finished rows to the store: in order, in batches, again and again while the store is away. */
import { GatewayError, type Reason } from "../core/error.ts";
import type { LedgerRow } from "../core/ledger-row.ts";
import type { LedgerStore } from "../core/ledger-store.ts";
import type { Logger } from "../core/log.ts";

/** Where rows can be read again that had no room in memory. */
export interface RowBacklog {
  /** The row is in memory no more. */
  forget(usageId: string): void;
  /** Gives forgotten rows back, oldest first, to `deliver`, and is told nothing more about them. */
  readAgain(deliver: (rows: readonly LedgerRow[]) => Promise<void>): Promise<void>;
}

export interface ShipperOptions {
  readonly store: Pick<LedgerStore, "append">;
  /** Most rows of one append. */
  readonly batchRows: number;
  /** How long a row waits for others, in milliseconds: a transaction for each would cost more than the calls. */
  readonly gatherMs: number;
  /** Most rows in memory; those above go to the backlog, or are lost where there is none. */
  readonly maxQueuedRows: number;
  /** First and longest wait before the store is asked again, in milliseconds. */
  readonly retry: { readonly firstMs: number; readonly mostMs: number };
  readonly backlog?: RowBacklog | undefined;
  /** The store has these rows. */
  readonly onStored: (usageIds: readonly string[]) => void;
  readonly log: Logger;
}

/** What passes by itself: the database comes back. Anything else is about the rows. */
const passing: ReadonlySet<Reason> = new Set(["store_unavailable", "timeout"]);

export class Shipper {
  readonly #options: ShipperOptions;
  readonly #stop = new AbortController();
  #queue: LedgerRow[] = [];
  #hasBacklog = false;
  #lost = 0;
  #refused = 0;
  #isAway = false;
  #working: Promise<void> | undefined;

  constructor(options: ShipperOptions) {
    this.#options = options;
  }

  /** Rows in memory that wait. */
  get queued(): number {
    return this.#queue.length;
  }

  /** Rows that had room nowhere. */
  get lost(): number {
    return this.#lost;
  }

  /** Rows that the store does not take. */
  get refused(): number {
    return this.#refused;
  }

  push(row: LedgerRow): void {
    const { maxQueuedRows, backlog, log } = this.#options;
    if (this.#queue.length < maxQueuedRows) {
      this.#queue.push(row);
    } else if (backlog !== undefined) {
      backlog.forget(row.usageId);
      this.#hasBacklog = true;
    } else {
      if (this.#lost++ === 0) log.error("ledger rows are lost: the store is away, and there is no journal", { limit: maxQueuedRows });
      return;
    }
    this.#work();
  }

  /** Resolves when the store has the rows, or refused them for good. Rejects when the shipper closes before. */
  async deliver(rows: readonly LedgerRow[]): Promise<void> {
    const { store, onStored } = this.#options;
    try {
      await this.#untilStoreIsThere(() => store.append(rows));
      onStored(rows.map(({ usageId }) => usageId));
    } catch (thrown) {
      if (this.#stop.signal.aborted) throw thrown;
      await this.#deliverOneByOne(rows);
    }
  }

  /** Resolves when nothing waits. */
  async idle(): Promise<void> {
    while (this.#working !== undefined) await this.#working;
  }

  /** Gives what waits so much time, then stops. */
  async close(graceMs: number): Promise<void> {
    const timer = setTimeout(() => this.#stop.abort(new GatewayError("store_unavailable", "the ledger is closing")), graceMs);
    await this.idle();
    clearTimeout(timer);
    this.#stop.abort(new GatewayError("store_unavailable", "the ledger is closing"));
  }

  #work(): void {
    if (this.#stop.signal.aborted) return;
    this.#working ??= this.#ship();
  }

  async #ship(): Promise<void> {
    const { batchRows, gatherMs, backlog } = this.#options;
    try {
      for (;;) {
        if (this.#queue.length > 0) {
          if (this.#queue.length < batchRows) await this.#wait(gatherMs);
          const batch = this.#queue.slice(0, batchRows);
          await this.deliver(batch);
          this.#queue.splice(0, batch.length);
        } else if (this.#hasBacklog && backlog !== undefined) {
          this.#hasBacklog = false;
          await this.#readBacklog(backlog);
        } else {
          break;
        }
      }
    } catch (thrown) {
      if (!this.#stop.signal.aborted) this.#options.log.error("the ledger cannot ship its rows", { error: thrown });
    }
    // At once: what is pushed from here on begins anew.
    this.#working = undefined;
  }

  async #readBacklog(backlog: RowBacklog): Promise<void> {
    try {
      await backlog.readAgain((rows) => this.deliver(rows));
    } catch (thrown) {
      if (this.#stop.signal.aborted) throw thrown;
      this.#hasBacklog = true;
      this.#options.log.warn("ledger rows cannot be read from the journal now", { error: thrown });
      await this.#wait(this.#options.retry.mostMs);
    }
  }

  /** One bad row must not hold up the others; it stays in the journal. */
  async #deliverOneByOne(rows: readonly LedgerRow[]): Promise<void> {
    const { store, onStored, log } = this.#options;
    for (const row of rows) {
      try {
        await this.#untilStoreIsThere(() => store.append([row]));
        onStored([row.usageId]);
      } catch (error) {
        if (this.#stop.signal.aborted) throw error;
        this.#refused++;
        log.error("the store refuses a ledger row", { usage_id: row.usageId, error });
      }
    }
  }

  async #untilStoreIsThere(ask: () => Promise<unknown>): Promise<void> {
    const { retry, log } = this.#options;
    for (let waitMs = retry.firstMs; ; waitMs = Math.min(waitMs * 2, retry.mostMs)) {
      if (this.#stop.signal.aborted) throw this.#stop.signal.reason;
      try {
        await ask();
        if (this.#isAway) log.info("the ledger's store is back", { count: this.#queue.length });
        this.#isAway = false;
        return;
      } catch (thrown) {
        if (!(thrown instanceof GatewayError && passing.has(thrown.reason))) throw thrown;
        if (!this.#isAway) log.warn("the ledger's store is away; rows wait", { error: thrown });
        this.#isAway = true;
      }
      await this.#wait(waitMs);
    }
  }

  #wait(ms: number): Promise<void> {
    const { signal } = this.#stop;
    return new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", end);
        resolve();
      };
      const timer = setTimeout(end, ms);
      signal.addEventListener("abort", end, { once: true });
      if (signal.aborted) end();
    });
  }
}
