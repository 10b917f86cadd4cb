/** Time as the simulated upstream spends it. */

export interface Pace {
  /** Time to the first token, in milliseconds. */
  readonly ttftMs: number;
  /** 0: as fast as it goes. */
  readonly tokensPerSecond: number;
}

/** Rejects with the signal's reason as soon as it is aborted. `Infinity` waits for that alone. */
export function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(
      () => {
        if (milliseconds === Number.POSITIVE_INFINITY) return;
        signal.removeEventListener("abort", onAbort);
        resolve();
      },
      Math.min(milliseconds, 0x7fffffff),
    );
    signal.addEventListener("abort", onAbort, { once: true });
  });
}

/** Hands out tokens by an absolute schedule, so that slow timers do not add up. */
export class Pacer {
  readonly #pace: Pace;
  #due = 0;
  #begun = false;

  constructor(pace: Pace) {
    this.#pace = pace;
  }

  /** Resolves when the next token is due; undefined where it is due already. */
  next(signal: AbortSignal): Promise<void> | undefined {
    const now = performance.now();
    const { ttftMs, tokensPerSecond } = this.#pace;
    if (!this.#begun) {
      this.#begun = true;
      this.#due = now + ttftMs;
    } else if (tokensPerSecond > 0) this.#due += 1000 / tokensPerSecond;
    const wait = this.#due - now;
    return wait >= 1 ? pause(wait, signal) : undefined;
  }

  /** Time that a script spent on its own does not count against the tokens after it. */
  skip(milliseconds: number): void {
    if (this.#begun) this.#due += milliseconds;
  }
}
