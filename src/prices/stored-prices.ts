/** Keeps a price book in step with the store, whoever changes it: this process, another worker, another machine. */
import type { Logger } from "../core/log.ts";
import type { PriceStore } from "../core/price-store.ts";
import { type LayeredPriceBook, readAll } from "./price-book.ts";

export interface StoredPricesOptions {
  readonly store: Pick<PriceStore, "version" | "listAll">;
  readonly book: LayeredPriceBook;
  readonly log: Logger;
  /** How often the store is asked whether anything changed, in milliseconds. */
  readonly pollMs: number;
}

export class StoredPrices {
  readonly #options: StoredPricesOptions;
  readonly #timer: NodeJS.Timeout;
  /** 0 is what a store says in which nothing ever changed: the book has nothing then either. */
  #version = 0;
  #away = false;
  #refreshing: Promise<void> | undefined;

  constructor(options: StoredPricesOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.refresh(), options.pollMs);
    this.#timer.unref();
  }

  /** Reads the prices anew where they changed. While the store is away those that are known hold. Never throws. */
  async refresh(): Promise<void> {
    // Who asks while another read runs may have changed something after it began.
    await this.#refreshing;
    this.#refreshing ??= this.#read().finally(() => {
      this.#refreshing = undefined;
    });
    await this.#refreshing;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #read(): Promise<void> {
    const { store, book, log } = this.#options;
    try {
      // Asked before the list, so that a change in between is found by the next look.
      const version = await store.version();
      if (version !== this.#version) {
        book.useStored(await readAll((page) => store.listAll(page)));
        this.#version = version;
      }
      if (this.#away) log.info("stored prices can be read again");
      this.#away = false;
    } catch (error) {
      if (!this.#away) log.warn("stored prices cannot be read; those that are known hold", { error });
      this.#away = true;
    }
  }
}
