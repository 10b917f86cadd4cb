/** Streams whose client is gone, read to their end for the provider's exact counts; bounded in number and time (reliability.md 3.5). */
import { GatewayError } from "../core/error.ts";

export interface DrainBounds {
  /** Most streams at once; the next one is closed and estimated. */
  readonly maxStreams: number;
  /** Longest time from the client's leaving, in milliseconds. */
  readonly maxMs: number;
  /** Most output tokens after the client's leaving. */
  readonly maxTokens: number;
}

export class DrainPool {
  readonly bounds: DrainBounds;
  readonly #running = new Map<Promise<void>, AbortController>();
  #closed = false;

  constructor(bounds: DrainBounds) {
    this.bounds = bounds;
  }

  /** Streams that are read on now. */
  get running(): number {
    return this.#running.size;
  }

  /**
   * Runs `readOn` in the background, which must not reject and must end soon after its signal stops it. False where there
   * is no room: nothing was begun then.
   */
  take(readOn: (signal: AbortSignal) => Promise<void>): boolean {
    if (this.#closed || this.#running.size >= this.bounds.maxStreams) return false;
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(new GatewayError("timeout", "the drained stream took too long")), this.bounds.maxMs);
    timer.unref();
    const work = readOn(stop.signal).finally(() => {
      clearTimeout(timer);
      this.#running.delete(work);
    });
    this.#running.set(work, stop);
    return true;
  }

  /** Takes no more, waits for what runs, and after `graceMs` stops it. Resolves when nothing runs; called again it may be sooner. */
  async close(graceMs: number): Promise<void> {
    this.#closed = true;
    const all = Promise.all(this.#running.keys());
    const timer = setTimeout(() => {
      for (const stop of this.#running.values()) stop.abort(new GatewayError("cancelled", "the gateway is shutting down"));
    }, graceMs);
    await all;
    clearTimeout(timer);
  }
}
