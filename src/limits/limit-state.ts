/**
 * Where counters are kept: in this process, in the first process of this machine, or in Redis. Everything that crosses is
 * plain data, so that it can travel as a message. Counters of one tenant never meet those of another.
 */
import type { LimitFallback } from "../core/limits.ts";

/**
 * `window`: what was taken within the last `windowMs`. `calendar`: what was taken since the day or month began.
 * `slots`: what runs now.
 */
export type CounterKind = "window" | "calendar" | "slots";

/** One counter and what a call needs of it. Amounts are whole numbers. */
export interface Counter {
  /** Unique in the tenant; that of a calendar window names when it began. */
  readonly key: string;
  readonly kind: CounterKind;
  readonly limit: number;
  /** Never above the limit: what is larger could never be had. */
  readonly need: number;
  /** Length of a `window`; else 0. */
  readonly windowMs: number;
  /** End of a `calendar` window, in milliseconds since 1970; else 0. */
  readonly endsAt: number;
  /** What holds while the state that replicas share is away. */
  readonly fallback: LimitFallback;
  /** What a calendar window begins with where nobody knows it: what was spent in it before. Absent: to be asked for. */
  readonly seed?: number | undefined;
}

export interface Take {
  /** Of the operation: the same id twice counts once. */
  readonly id: string;
  readonly tenant: string;
  readonly counters: readonly Counter[];
}

/** How one counter stands, in the order of the take. */
export interface CounterLevel {
  /** After the take, where it was taken. */
  readonly used: number;
  /** The limit that holds here and now: a share of it while the shared state is away. */
  readonly limit: number;
  /** 0 where it has room; else after how many milliseconds it may have. */
  readonly waitMs: number;
  /** Until nothing of it is used, if nothing more is taken. */
  readonly resetMs: number;
  /** Where the amount was put: settlements go to the same place. */
  readonly at: number;
  /** How much was put there; 0 where nothing was taken. */
  readonly taken: number;
}

export interface TakeReply {
  /**
   * `unseeded`: a calendar window is not known here; ask again with `seed`. `away`: a counter is closed while the shared
   * state cannot be reached. Only `taken` took anything, and then of all.
   */
  readonly verdict: "taken" | "refused" | "unseeded" | "away";
  readonly levels: readonly CounterLevel[];
}

/** What a call came to, by counter. */
export interface Change {
  readonly key: string;
  readonly kind: CounterKind;
  readonly windowMs: number;
  readonly endsAt: number;
  readonly at: number;
  /** What the take put there. */
  readonly taken: number;
  /** What was used; slots are given back whatever it is. */
  readonly total: number;
}

export interface Settlement {
  readonly id: string;
  readonly tenant: string;
  readonly changes: readonly Change[];
}

export interface LimitState {
  /** Milliseconds since 1970 by the clock that calendar windows go by. */
  wall(): number;
  /** Never throws, never rejects. */
  take(take: Take): TakeReply | Promise<TakeReply>;
  /** Never throws, never rejects; nobody waits for it. */
  settle(settlement: Settlement): void;
  /** How counters stand. Rejects with GatewayError store_unavailable where nobody can tell. */
  look(tenant: string, counters: readonly Counter[]): Promise<readonly CounterLevel[]>;
  /** Empties counters; slots stay, as what runs still runs. Rejects as look. */
  reset(tenant: string, counters: readonly Counter[]): Promise<void>;
  /** Whether a state that others share is away. */
  readonly away: boolean;
  close(): void;
}

/**
 * A window is counted in so many parts. The oldest part counts whole until all of it is over, so that no window whatever
 * holds more than the limit; the price is one part in a hundred of the rate.
 */
export const windowParts = 100;

/** How soon a caller may try for a slot again: nobody knows when one is given back. */
export const slotWaitMs = 1_000;

/** Whether a counter has no room for a take. */
export function isFull(used: number, { limit, need }: Pick<Counter, "limit" | "need">): boolean {
  return used >= limit || used + need > limit;
}

/** What settles a take that nothing came of. `levels`: as they were answered; none where the answer was lost. */
export function unusedOf({ id, tenant, counters }: Take, levels: readonly CounterLevel[]): Settlement {
  const changes = counters.map(({ key, kind, windowMs, endsAt }, index) => {
    const { at = 0, taken = 0 } = levels[index] ?? {};
    return { key, kind, windowMs, endsAt, at, taken, total: 0 };
  });
  return { id, tenant, changes };
}
