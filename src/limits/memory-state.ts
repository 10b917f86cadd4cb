/** Counters in this process's memory. Nothing waits; what is idle is forgotten. */
import type { Clock } from "../core/clock.ts";
import {
  type Change,
  type Counter,
  type CounterLevel,
  isFull,
  type LimitState,
  type Settlement,
  slotWaitMs,
  type Take,
  type TakeReply,
} from "./limit-state.ts";
import { SlidingWindow } from "./sliding-window.ts";

export interface MemoryStateOptions {
  readonly clock: Clock;
  /** Most counters at once; those that were used longest ago go first, but never one that holds slots. */
  readonly maxCounters: number;
}

interface Kept {
  readonly kind: Counter["kind"];
  readonly window: SlidingWindow | undefined;
  /** Calendar: what was spent. */
  spent: number;
  /** Slots: the operations that hold one, and whose they are. */
  readonly slots: Map<string, string>;
  /** When it was last put behind the others, in milliseconds of the monotonic clock. */
  movedAt: number;
  /** When it can be forgotten: milliseconds of the monotonic clock for windows, of the wall for calendars. */
  idleAt: number;
}

/** How many counters a take looks at for idle ones: keeps the map small without ever pausing. */
const sweptPerTake = 4;
/** And how many of the oldest for one to give up, where there are too many. */
const evictionSearch = 100;
/** A counter that was used within so long stays where it is: moving it with every call costs more than counting. */
const orderMs = 1_000;

export class MemoryLimitState implements LimitState {
  readonly away = false;
  readonly #options: MemoryStateOptions;
  /** The one that was used longest ago is first, to within `orderMs`. */
  readonly #counters = new Map<string, Kept>();
  #sweeping = this.#counters.entries();

  constructor(options: MemoryStateOptions) {
    this.#options = options;
  }

  /** Counters that are kept. */
  get size(): number {
    return this.#counters.size;
  }

  /** Slots that are held, over all counters. */
  get slotsHeld(): number {
    let held = 0;
    for (const { slots } of this.#counters.values()) held += slots.size;
    return held;
  }

  wall(): number {
    return this.#options.clock.wall();
  }

  /** `holder` names whoever takes: forget() gives back the slots of one that died. */
  take({ id, tenant, counters }: Take, holder = ""): TakeReply {
    if (counters.some((counter) => !this.#isKnown(tenant, counter))) return { verdict: "unseeded", levels: [] };
    const now = this.#options.clock.now();
    this.#sweep(now);
    const refused = counters.some((counter) => isFull(this.#used(tenant, counter, now), counter));
    if (refused) return { verdict: "refused", levels: counters.map((counter) => this.#level(tenant, counter, now)) };
    return { verdict: "taken", levels: counters.map((counter) => this.#add(tenant, counter, id, holder, now)) };
  }

  /** Counts what was taken elsewhere, whether there is room for it or not. */
  note({ id, tenant, counters }: Take): void {
    const now = this.#options.clock.now();
    this.#sweep(now);
    for (const counter of counters) this.#add(tenant, counter, id, "", now);
  }

  /** What was spent in a calendar window, as is known from elsewhere; undefined where nothing is kept. */
  spent(tenant: string, key: string): number | undefined {
    return this.#counters.get(nameOf(tenant, key))?.spent;
  }

  setSpent(tenant: string, counter: Counter, spent: number): void {
    this.#touch(tenant, counter).spent = spent;
  }

  settle({ id, tenant, changes }: Settlement): void {
    const now = this.#options.clock.now();
    for (const change of changes) this.#change(tenant, change, id, now);
  }

  async look(tenant: string, counters: readonly Counter[]): Promise<readonly CounterLevel[]> {
    const now = this.#options.clock.now();
    return counters.map((counter) => this.#level(tenant, counter, now));
  }

  async reset(tenant: string, counters: readonly Counter[]): Promise<void> {
    for (const { key, kind } of counters) {
      const kept = this.#counters.get(nameOf(tenant, key));
      if (kind === "calendar" && kept !== undefined) kept.spent = 0;
      else if (kind === "window") this.#counters.delete(nameOf(tenant, key));
    }
  }

  /** Gives back every slot of a holder that died. */
  forget(holder: string): void {
    for (const { slots } of this.#counters.values()) {
      for (const [id, whose] of slots) if (whose === holder) slots.delete(id);
    }
  }

  close(): void {
    this.#counters.clear();
  }

  #isKnown(tenant: string, { key, kind, seed }: Counter): boolean {
    return kind !== "calendar" || seed !== undefined || this.#counters.has(nameOf(tenant, key));
  }

  #used(tenant: string, counter: Counter, now: number): number {
    const kept = this.#counters.get(nameOf(tenant, counter.key));
    if (kept === undefined) return counter.seed ?? 0;
    return kept.window?.used(now) ?? (counter.kind === "slots" ? kept.slots.size : kept.spent);
  }

  #level(tenant: string, counter: Counter, now: number, at = 0, taken = 0): CounterLevel {
    const used = this.#used(tenant, counter, now);
    const window = this.#counters.get(nameOf(tenant, counter.key))?.window;
    const { kind, limit, need } = counter;
    const full = isFull(used, counter);
    switch (kind) {
      case "window": {
        // Room for one at least, even where nothing is needed now.
        const waitMs = full ? Math.max(1, window?.waitFor(now, limit - Math.max(1, need)) ?? 1) : 0;
        return { used, limit, waitMs, resetMs: window?.waitFor(now, 0) ?? 0, at, taken };
      }
      case "calendar": {
        const left = Math.max(1, counter.endsAt - this.wall());
        return { used, limit, waitMs: full ? left : 0, resetMs: left, at, taken };
      }
      case "slots":
        return { used, limit, waitMs: full ? slotWaitMs : 0, resetMs: 0, at, taken };
    }
  }

  #add(tenant: string, counter: Counter, id: string, holder: string, now: number): CounterLevel {
    const kept = this.#touch(tenant, counter);
    let at = 0;
    if (kept.window !== undefined) {
      kept.window.used(now);
      at = kept.window.add(now, counter.need);
    } else if (counter.kind === "slots") kept.slots.set(id, holder);
    else kept.spent += counter.need;
    return { ...this.#level(tenant, { ...counter, need: 0 }, now, at, counter.need), waitMs: 0 };
  }

  #change(tenant: string, { key, at, taken, total, kind }: Change, id: string, now: number): void {
    const kept = this.#counters.get(nameOf(tenant, key));
    if (kept === undefined) return;
    if (kept.window !== undefined) kept.window.correct(now, at, total - taken);
    else if (kind === "slots") kept.slots.delete(id);
    else kept.spent = Math.max(0, kept.spent + total - taken);
  }

  /** The counter, made where it was not, among those that were used last. */
  #touch(tenant: string, counter: Counter): Kept {
    const name = nameOf(tenant, counter.key);
    const now = this.#options.clock.now();
    let kept = this.#counters.get(name);
    if (kept === undefined) {
      const window = counter.kind === "window" ? new SlidingWindow(counter.windowMs) : undefined;
      kept = { kind: counter.kind, window, spent: counter.seed ?? 0, slots: new Map(), movedAt: Number.NEGATIVE_INFINITY, idleAt: 0 };
    }
    // Twice the window: a part counts for a little longer than the window is long.
    kept.idleAt = counter.kind === "calendar" ? counter.endsAt : now + 2 * counter.windowMs;
    if (now - kept.movedAt < orderMs && this.#counters.has(name)) return kept;
    kept.movedAt = now;
    this.#counters.delete(name);
    this.#counters.set(name, kept);
    this.#evict();
    return kept;
  }

  #sweep(now: number): void {
    for (let looked = 0; looked < sweptPerTake; looked++) {
      const { done, value } = this.#sweeping.next();
      if (done) {
        this.#sweeping = this.#counters.entries();
        break;
      }
      const [name, kept] = value;
      const over = kept.idleAt <= (kept.kind === "calendar" ? this.wall() : now);
      if (over && kept.slots.size === 0) this.#counters.delete(name);
    }
  }

  #evict(): void {
    if (this.#counters.size <= this.#options.maxCounters) return;
    let looked = 0;
    for (const [name, { slots }] of this.#counters) {
      if (slots.size === 0) {
        this.#counters.delete(name);
        return;
      }
      if (++looked === evictionSearch) return;
    }
  }
}

/** Tenants hold no line break, so no tenant's counter has another's name. */
function nameOf(tenant: string, key: string): string {
  return `${tenant}\n${key}`;
}
