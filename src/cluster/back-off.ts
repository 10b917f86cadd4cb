/** How long a worker that ended by itself stays away before it is started again (reliability.md 4.5, P5). */

export interface BackOffOptions {
  readonly firstMs: number;
  readonly mostMs: number;
  /** After serving this long without an end, the next one waits as the first did. */
  readonly quietMs: number;
}

export const standardBackOff: BackOffOptions = { firstMs: 100, mostMs: 10_000, quietMs: 60_000 };

export class BackOff {
  readonly #options: BackOffOptions;
  #nextMs: number;

  constructor(options: BackOffOptions) {
    this.#options = options;
    this.#nextMs = options.firstMs;
  }

  /** The wait after an end of a process that served for so long; 0 where it never did. Doubles from one to the next. */
  next(servedMs: number): number {
    const { firstMs, mostMs, quietMs } = this.#options;
    const wait = servedMs >= quietMs ? firstMs : this.#nextMs;
    this.#nextMs = Math.min(mostMs, wait * 2);
    return wait;
  }
}
