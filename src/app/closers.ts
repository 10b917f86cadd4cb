import type { Logger } from "../core/log.ts";

/** How what was opened is closed again: the last opened first. */
export class Closers {
  readonly #closes: ((graceMs: number) => unknown)[] = [];
  #closing: Promise<void> | undefined;

  /** Gives what `open` gives. Where it fails, what it had kept until then is closed before that is thrown. */
  static async closeOnFailure<Opened>(log: Logger, open: (closers: Closers) => Promise<Opened>): Promise<Opened> {
    const closers = new Closers();
    try {
      return await open(closers);
    } catch (thrown) {
      await closers.close(0).catch((error: unknown) => log.warn("not all that was opened could be closed", { error }));
      throw thrown;
    }
  }

  /** Gives back what has just been opened. `graceMs` is how long its last work may take. */
  keep<Opened>(opened: Opened, close: (opened: Opened, graceMs: number) => unknown): Opened {
    this.#closes.push((graceMs) => close(opened, graceMs));
    return opened;
  }

  /** One after the other; a second call waits for the first. All are closed even where some fail: then the first failure is thrown. */
  close(graceMs: number): Promise<void> {
    this.#closing ??= this.#closeAll(graceMs);
    return this.#closing;
  }

  async #closeAll(graceMs: number): Promise<void> {
    const failures: unknown[] = [];
    for (const close of this.#closes.reverse()) {
      try {
        await close(graceMs);
      } catch (thrown) {
        failures.push(thrown);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}
