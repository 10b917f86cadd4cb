/**
 * What waits to be written: bounded by number and size, emptied in batches. Adding never waits; what finds no room is
 * dropped and counted. A store that is away keeps its batch waiting; one that refuses a batch loses it.
 */
import { GatewayError } from "../core/error.ts";
import type { Logger } from "../core/log.ts";

export interface QueueLimits {
  readonly maxRecords: number;
  readonly maxBytes: number;
  /** How long a record waits for others, in milliseconds. */
  readonly flushMs: number;
}

export interface RecordQueueOptions<Item> {
  readonly limits: QueueLimits;
  /** Writes a batch; rejects where that failed. */
  write(items: readonly Item[]): Promise<void>;
  readonly log: Logger;
}

const maxBatch = 256;
const retryMs = 1_000;

export class RecordQueue<Item> {
  readonly #options: RecordQueueOptions<Item>;
  #waiting: { readonly item: Item; readonly bytes: number }[] = [];
  #bytes = 0;
  #dropped = 0;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  #isAway = false;
  #isClosed = false;

  constructor(options: RecordQueueOptions<Item>) {
    this.#options = options;
  }

  /** Records that were lost since the start: no room, or refused by the store. */
  get dropped(): number {
    return this.#dropped;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  add(item: Item, bytes: number): void {
    const { maxRecords, maxBytes } = this.#options.limits;
    if (this.#isClosed || this.#waiting.length >= maxRecords || this.#bytes + bytes > maxBytes) {
      this.#dropped++;
      return;
    }
    this.#waiting.push({ item, bytes });
    this.#bytes += bytes;
    if (this.#waiting.length >= maxBatch && !this.#isAway) this.#wake(0);
    else if (this.#timer === undefined) this.#wake(this.#options.limits.flushMs);
  }

  /** Writes what waits now; resolves when it stands, or cannot. */
  async flush(): Promise<void> {
    await this.#writing;
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = undefined;
    });
    await this.#writing;
  }

  /** Writes what waits, once. Later records are dropped. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.flush();
    clearTimeout(this.#timer);
    this.#dropped += this.#waiting.length;
    this.#waiting = [];
  }

  #wake(afterMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.flush();
    }, afterMs);
    this.#timer.unref();
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.slice(0, maxBatch);
      try {
        await this.#options.write(batch.map(({ item }) => item));
        if (this.#isAway) this.#options.log.info("the request log is written again");
        this.#isAway = false;
      } catch (error) {
        if (isAway(error)) {
          if (!this.#isAway) this.#options.log.warn("the request log cannot be written; records wait", { error });
          this.#isAway = true;
          if (!this.#isClosed) this.#wake(retryMs);
          return;
        }
        this.#options.log.error("records of the request log were refused and are lost", { error });
        this.#dropped += batch.length;
      }
      this.#waiting.splice(0, batch.length);
      for (const { bytes } of batch) this.#bytes -= bytes;
    }
  }
}

function isAway(error: unknown): boolean {
  return error instanceof GatewayError && (error.reason === "store_unavailable" || error.reason === "timeout");
}
