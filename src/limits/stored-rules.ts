/** Keeps a rule book in step with the store, whoever changes it: this process, another worker, another machine. */
import type { LimitRuleRecord, LimitRuleStore } from "../core/limit-rule-store.ts";
import type { Logger } from "../core/log.ts";
import { maxPageSize } from "../core/page.ts";
import { type LimitRule, readRule } from "./limit-rule.ts";
import type { RuleBook } from "./rule-book.ts";

export interface StoredRulesOptions {
  readonly store: Pick<LimitRuleStore, "version" | "listAll">;
  readonly book: RuleBook;
  readonly log: Logger;
  /** How often the store is asked whether anything changed, in milliseconds. */
  readonly pollMs: number;
}

export class StoredRules {
  readonly #options: StoredRulesOptions;
  readonly #timer: NodeJS.Timeout;
  /** 0 is what a store says in which nothing ever changed: the book has nothing then either. */
  #version = 0;
  #away = false;
  #known = false;
  #refreshing: Promise<void> | undefined;
  #unreadable: readonly string[] = [];

  constructor(options: StoredRulesOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.refresh(), options.pollMs);
    this.#timer.unref();
  }

  /** Reads the rules anew where they changed. While the store is away those that are known hold. Never throws. */
  async refresh(): Promise<void> {
    // Who asks while another read runs may have changed something after it began.
    await this.#refreshing;
    this.#refreshing ??= this.#read().finally(() => {
      this.#refreshing = undefined;
    });
    await this.#refreshing;
  }

  /** Whether the store's rules were read once: before that nobody knows what should hold. */
  get known(): boolean {
    return this.#known;
  }

  /** Rules that stand in the store and cannot be read: they do not hold, and somebody must know. */
  get unreadable(): readonly string[] {
    return this.#unreadable;
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
        book.useStored(await this.#readAll());
        this.#version = version;
      }
      this.#known = true;
      if (this.#away) log.info("stored limits can be read again");
      this.#away = false;
    } catch (error) {
      if (!this.#away) log.warn("stored limits cannot be read; those that are known hold", { error });
      this.#away = true;
    }
  }

  async #readAll(): Promise<LimitRule[]> {
    const { store } = this.#options;
    const rules: LimitRule[] = [];
    const unreadable: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await store.listAll({ size: maxPageSize, cursor });
      rules.push(...page.items.flatMap((record) => this.#readOne(record, unreadable)));
      cursor = page.next;
    } while (cursor !== undefined);
    this.#unreadable = unreadable;
    return rules;
  }

  #readOne(record: LimitRuleRecord, unreadable: string[]): LimitRule[] {
    try {
      const rule = readRule(record);
      return rule === undefined ? [] : [rule];
    } catch (error) {
      unreadable.push(record.id);
      this.#options.log.error("a stored limit cannot be read and does not hold", { subject: record.id, error });
      return [];
    }
  }
}
