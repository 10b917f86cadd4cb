/** Records as they are written, by this process and by others that share the store. */

import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/error.ts";
import type { RequestLogFilter, RequestLogRecord, RequestLogStore } from "../core/request-log-store.ts";

export interface WatchOptions {
  readonly store: Pick<RequestLogStore, "query">;
  readonly tenant: string;
  readonly filter: RequestLogFilter;
  readonly clock: Clock;
  /** Ends the watch. */
  readonly signal: AbortSignal;
  /** Calls its argument after this process wrote records; gives the function that ends it. */
  onWritten(listener: () => void): () => void;
}

/** How often others are looked for, and how late they may write what they made. */
const pollMs = 1_000;
const lateMs = 5_000;
/** Between two looks at least. */
const restMs = 500;
const pageSize = 200;
/** Records of one look: more come only to somebody who does not read. */
const maxNew = 20_000;

/** Oldest first, each once. Throws GatewayError rate_limited where too many waited for a reader that is too slow. */
export async function* watchRecords(options: WatchOptions): AsyncGenerator<RequestLogRecord> {
  const { clock, signal, onWritten } = options;
  const begin = clock.wall();
  /** What was met, and when it was made. */
  const met = new Map<string, number>();
  const bell = new Bell(signal);
  const unsubscribe = onWritten(() => bell.ring());
  try {
    let since = begin;
    for (;;) {
      const now = clock.wall();
      const records = await readNew(options, Math.max(begin, since - lateMs), met);
      since = now;
      for (const record of records) {
        if (signal.aborted) return;
        yield record;
      }
      for (const [id, madeAt] of met) if (madeAt < since - 2 * lateMs) met.delete(id);
      await bell.wait(restMs, pollMs);
      if (signal.aborted) return;
    }
  } finally {
    unsubscribe();
  }
}

async function readNew({ store, tenant, filter }: WatchOptions, from: number, met: Map<string, number>): Promise<RequestLogRecord[]> {
  const found: RequestLogRecord[] = [];
  let cursor: string | undefined;
  do {
    const page = await store.query(tenant, { ...filter, from }, { size: pageSize, cursor });
    for (const record of page.items) {
      if (met.has(record.requestId)) continue;
      met.set(record.requestId, record.createdAt);
      found.push(record);
    }
    if (found.length > maxNew) {
      throw new GatewayError("rate_limited", `more than ${maxNew} records waited to be read; read faster, or narrow the filter`);
    }
    cursor = page.next;
  } while (cursor !== undefined);
  return found.reverse();
}

/** Wakes who waits: at the earliest after one time, without a ring after another. */
class Bell {
  readonly #signal: AbortSignal;
  #isRung = false;
  #wake: (() => void) | undefined;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  ring(): void {
    this.#isRung = true;
    this.#wake?.();
  }

  async wait(leastMs: number, mostMs: number): Promise<void> {
    await this.#sleep(leastMs, false);
    if (!this.#isRung) await this.#sleep(mostMs - leastMs, true);
    this.#isRung = false;
  }

  #sleep(ms: number, byRing: boolean): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        this.#signal.removeEventListener("abort", end);
        this.#wake = undefined;
        resolve();
      };
      const timer = setTimeout(end, ms);
      timer.unref();
      this.#signal.addEventListener("abort", end, { once: true });
      if (byRing) this.#wake = end;
      if (this.#signal.aborted) end();
    });
  }
}
