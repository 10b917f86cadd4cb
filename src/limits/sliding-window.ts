/**
 * What was taken within the last so many milliseconds, at every moment.
 *
 * Not a token bucket: a full bucket and what flows in while it empties give twice the limit in the first window, and the
 * promise is that admission follows the limit. Not a log of every take: its size would be the limit.
 */
import { windowParts } from "./limit-state.ts";

export class SlidingWindow {
  readonly #partMs: number;
  /** Amounts by part, oldest first; parts without any are not there. */
  readonly #parts = new Map<number, number>();
  #sum = 0;
  /** The part that was given something last. */
  #latest = 0;

  constructor(windowMs: number) {
    this.#partMs = windowMs / windowParts;
  }

  /** `now` never goes back. */
  used(now: number): number {
    const current = this.#partOf(now);
    for (const [part, amount] of this.#parts) {
      if (part >= current - windowParts) break;
      this.#sum -= amount;
      this.#parts.delete(part);
    }
    return this.#sum;
  }

  /** Adds an amount, and says to which part. */
  add(now: number, amount: number): number {
    const part = this.#partOf(now);
    this.#latest = part;
    this.#change(part, amount);
    return part;
  }

  /** Changes what a part was given, unless it is over. An amount never falls below 0. */
  correct(now: number, part: number, delta: number): void {
    if (part >= this.#partOf(now) - windowParts && this.#parts.has(part)) this.#change(part, delta);
  }

  /** Milliseconds until no more than `allowed` is used. */
  waitFor(now: number, allowed: number): number {
    let used = this.used(now);
    if (used <= allowed) return 0;
    // Until all is free again is what every answer tells: that need not be searched for.
    if (allowed === 0 && (this.#parts.get(this.#latest) ?? 0) > 0) return this.#endOf(this.#latest) - now;
    for (const [part, amount] of this.#parts) {
      used -= amount;
      if (used <= allowed) return this.#endOf(part) - now;
    }
    return 0;
  }

  #change(part: number, delta: number): void {
    const before = this.#parts.get(part) ?? 0;
    const after = Math.max(0, before + delta);
    this.#parts.set(part, after);
    this.#sum += after - before;
  }

  #partOf(now: number): number {
    return Math.floor(now / this.#partMs);
  }

  /** When a part no longer counts. */
  #endOf(part: number): number {
    return (part + windowParts + 1) * this.#partMs;
  }
}
