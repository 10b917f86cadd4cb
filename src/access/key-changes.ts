/**
 * What happens to keys in the store, watched by version: revoked keys stop within seconds on every replica, the digests of
 * imported keys are at hand, and last uses are written now and then.
 */
import type { ApiKeyRecord, KeyStore } from "../core/key-store.ts";
import type { Logger } from "../core/log.ts";

export interface KeyChangesOptions {
  readonly keys: Pick<KeyStore, "version" | "changesSince" | "touch">;
  readonly log: Logger;
  /** How often the store is asked whether anything changed. */
  readonly pollMs?: number;
  /** How often last uses are written. */
  readonly touchMs?: number;
}

const pageSize = 1_000;
const defaultTouchMs = 60_000;
/** More than these uses of different keys wait for nothing. */
const maxWaitingUses = 10_000;

type Listener = (records: readonly ApiKeyRecord[]) => void;

export class KeyChanges {
  readonly #options: KeyChangesOptions;
  readonly #imported = new Set<string>();
  readonly #listeners: Listener[] = [];
  readonly #uses = new Map<string, { readonly tenant: string; readonly id: string; at: number }>();
  readonly #timers: NodeJS.Timeout[] = [];
  #version = 0;
  #mark = 0;
  #complete = false;
  #away = false;
  #looking: Promise<void> | undefined;

  constructor(options: KeyChangesOptions) {
    this.#options = options;
  }

  /** For a store that only this process changes: what it does not tell of has not happened. */
  trust(): void {
    this.#complete = true;
    this.#timers.push(setInterval(() => void this.flush(), this.#options.touchMs ?? defaultTouchMs).unref());
  }

  /** Begins to watch; does not keep the process alive. Resolves after the first look, whether it succeeded or not. */
  start(): Promise<void> {
    const { pollMs = 1_000, touchMs = defaultTouchMs } = this.#options;
    this.#timers.push(setInterval(() => void this.look(), pollMs).unref(), setInterval(() => void this.flush(), touchMs).unref());
    return this.look();
  }

  /** Writes what is noted, and watches no more. */
  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await this.#looking;
    await this.flush();
  }

  /** Whether every imported key is known. */
  get complete(): boolean {
    return this.#complete;
  }

  /** Differs when keys have changed since it was last read. */
  mark(): number {
    return this.#mark;
  }

  /** Whether a SHA-256 in hex is that of an imported key. */
  isImported(digest: string): boolean {
    return this.#imported.has(digest);
  }

  onChange(listener: Listener): void {
    this.#listeners.push(listener);
  }

  /** Tells of changes that this process made itself, at once. */
  tell(records: readonly ApiKeyRecord[]): void {
    this.#mark++;
    for (const { hash, hashKind } of records) if (hashKind === "sha256") this.#imported.add(hash);
    for (const listener of this.#listeners) listener(records);
  }

  /** Notes a use; `at` in milliseconds since 1970. */
  used({ tenant, id }: ApiKeyRecord, at: number): void {
    const noted = this.#uses.get(id);
    if (noted !== undefined) noted.at = at;
    else if (this.#uses.size < maxWaitingUses) this.#uses.set(id, { tenant, id, at });
  }

  /** Looks for changes now. Never rejects: an absent store is looked for again. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  /** Writes the last uses. Never rejects: what could not be written is written later. */
  async flush(): Promise<void> {
    const uses = [...this.#uses.values()];
    if (uses.length === 0) return;
    this.#uses.clear();
    try {
      await this.#options.keys.touch(uses);
    } catch {
      for (const use of uses) if (!this.#uses.has(use.id)) this.#uses.set(use.id, use);
    }
  }

  async #look(): Promise<void> {
    const { keys, log } = this.#options;
    try {
      if ((await keys.version()) !== this.#version || !this.#complete) await this.#catchUp();
      this.#complete = true;
      if (this.#away) log.info("keys can be looked up again");
      this.#away = false;
    } catch (error) {
      if (!this.#away) log.warn("keys cannot be looked up; known ones go on working for ten minutes", { error });
      this.#away = true;
    }
  }

  async #catchUp(): Promise<void> {
    for (;;) {
      const records = await this.#options.keys.changesSince(this.#version, pageSize);
      const last = records.at(-1);
      if (last === undefined) return;
      this.tell(records);
      this.#version = last.version;
      if (records.length < pageSize) return;
    }
  }
}
