/** Counters and a clock for tests of limits. */
import type { Clock } from "../../src/core/clock.ts";
import type { Counter, Settlement, Take, TakeReply } from "../../src/limits/limit-state.ts";

export class MovedClock implements Clock {
  time = 1_000_000;
  wallTime = Date.UTC(2026, 2, 14, 12);

  now(): number {
    return this.time;
  }

  wall(): number {
    return this.wallTime;
  }

  move(ms: number): void {
    this.time += ms;
    this.wallTime += ms;
  }
}

const plain = { need: 1, windowMs: 0, endsAt: 0, fallback: "local-share" } as const;

export function windowOf(limit: number, windowMs: number, more: Partial<Counter> = {}): Counter {
  return { ...plain, key: "w", kind: "window", limit, windowMs, ...more };
}

export function slotsOf(limit: number, more: Partial<Counter> = {}): Counter {
  return { ...plain, key: "s", kind: "slots", limit, ...more };
}

export function budgetOf(limit: number, need: number, more: Partial<Counter> = {}): Counter {
  return { ...plain, key: "b", kind: "calendar", limit, need, endsAt: Date.UTC(2099, 0), fallback: "closed", ...more };
}

let operations = 0;

export function takeOf(counters: readonly Counter[], tenant = "acme"): Take {
  return { id: `op-${process.pid}-${operations++}`, tenant, counters };
}

/** What settles a take with these totals, in the order of its counters. */
export function settlementOf({ id, tenant, counters }: Take, reply: TakeReply, totals: readonly number[]): Settlement {
  return {
    id,
    tenant,
    changes: counters.map(({ key, kind, windowMs, endsAt }, index) => {
      const { at = 0, taken = 0 } = reply.levels[index] ?? {};
      return { key, kind, windowMs, endsAt, at, taken, total: totals[index] ?? 0 };
    }),
  };
}
