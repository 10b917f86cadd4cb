/** Whether the database answers, looked at now and then: readiness is asked for often and must not wait for it. */
import type { Stores } from "../core/stores.ts";

/** From the end of one look to the next. */
const everyMs = 1_000;

export class StoreWatch {
  readonly #stores: Pick<Stores, "engine" | "isThere">;
  #timer: NodeJS.Timeout | undefined;
  #away = false;
  #closed = false;

  /** What is in this process's memory cannot be away, and is not looked at. */
  constructor(stores: Pick<Stores, "engine" | "isThere">) {
    this.#stores = stores;
    if (stores.engine !== "memory") void this.#look();
  }

  /** Names of engines that did not answer when they were last asked. */
  get away(): readonly string[] {
    return this.#away ? [this.#stores.engine] : [];
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  async #look(): Promise<void> {
    this.#away = !(await this.#stores.isThere());
    if (this.#closed) return;
    this.#timer = setTimeout(() => void this.#look(), everyMs);
    this.#timer.unref();
  }
}
