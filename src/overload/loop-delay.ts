/** How late the event loop is, by a timer that should come every `intervalMs`. */

export interface LoopDelayOptions {
  /** How often `tick` is called where nothing holds the loop up. */
  readonly intervalMs: number;
  /** What one call in a hundred may have to wait for its turn. */
  readonly slowMs: number;
  /** From here on the loop did not run late, it stood still. */
  readonly stallMs: number;
}

/** The span over which one in a hundred is looked for, and how recent the last slow turn must be. */
const windowMs = 5_000;
const recentMs = 500;
/** One pause, as a start or a large collection makes, is no load; so many slow turns are, or one that is a stall. */
const fewestTurns = 3;

export class LoopDelay {
  readonly #options: LoopDelayOptions;
  #last: number | undefined;
  /** Turns that were too slow: when they ended, and for how much of the time a call that came would have waited too long. */
  #slow: { readonly at: number; readonly ms: number }[] = [];
  #stalls = 0;

  constructor(options: LoopDelayOptions) {
    this.#options = options;
  }

  /** How often the loop stood still. */
  get stalls(): number {
    return this.#stalls;
  }

  /** Gives how long the loop stood still until now; undefined where it did not. */
  tick(now: number): number | undefined {
    const { intervalMs, slowMs, stallMs } = this.#options;
    const late = this.#last === undefined ? 0 : now - this.#last - intervalMs;
    this.#last = now;
    if (late > slowMs) this.#slow.push({ at: now, ms: late - slowMs });
    while (this.#slow[0] !== undefined && now - this.#slow[0].at > windowMs) this.#slow.shift();
    if (late < stallMs) return undefined;
    this.#stalls++;
    return late;
  }

  /** Whether more than one in a hundred calls of the last seconds waited too long, and calls still do. */
  isSlow(now: number): boolean {
    const latest = this.#slow.at(-1);
    if (latest === undefined || now - latest.at > recentMs) return false;
    const fresh = this.#slow.filter(({ at }) => now - at <= windowMs);
    const { slowMs, stallMs } = this.#options;
    if (fresh.length < fewestTurns && latest.ms + slowMs < stallMs) return false;
    return fresh.reduce((sum, { ms }) => sum + ms, 0) > windowMs / 100;
  }
}
