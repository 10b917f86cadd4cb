import { setTimeout as pause } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import type { Logger } from "../../src/core/log.ts";
import { silentLog } from "../../src/core/log.ts";
import type { Counter, TakeReply } from "../../src/limits/limit-state.ts";
import { RedisCounters } from "../../src/limits/redis-state.ts";
import { SharedLimitState } from "../../src/limits/shared-state.ts";
import { expectHeld, type TimedCall } from "./admissions.ts";
import { budgetOf, settlementOf, slotsOf, takeOf, windowOf } from "./counters.ts";
import { hasRedisServer, type RedisServer, startRedis } from "./redis-server.ts";

describe.skipIf(!hasRedisServer)("counters in Redis", () => {
  let server: RedisServer;
  const open: SharedLimitState[] = [];

  beforeAll(async () => {
    server = await startRedis();
  });
  afterAll(() => server.close());
  beforeEach(async () => {
    await server.run("FLUSHALL");
  });
  afterEach(() => {
    for (const state of open.splice(0)) state.close();
  });

  /** One process of several. Commands get longer than in production: the machine of a test may be busy. */
  async function join(processes = 2, log: Logger = silentLog, commandTimeoutMs = 300): Promise<SharedLimitState> {
    const shared = new RedisCounters({ url: server.url, cluster: false, sentinel: "", commandTimeoutMs, clock: systemClock });
    const state = new SharedLimitState({ shared, processes, maxCounters: 1_000, clock: systemClock, log });
    open.push(state);
    await shared.connect();
    await state.ready();
    return state;
  }

  async function verdictOf(state: SharedLimitState, counters: readonly Counter[], tenant?: string): Promise<TakeReply["verdict"]> {
    return (await state.take(takeOf(counters, tenant))).verdict;
  }

  test("hold over several processes, all or none", async () => {
    const [one, other] = [await join(), await join()];
    const counters = [windowOf(3, 60_000, { fallback: "closed" }), slotsOf(10, { fallback: "closed" })];
    expect(await verdictOf(one, counters)).toBe("taken");
    expect(await verdictOf(other, counters)).toBe("taken");
    expect(await verdictOf(one, counters)).toBe("taken");
    expect(await verdictOf(other, counters)).toBe("refused");
    expect(await other.look("acme", counters)).toMatchObject([{ used: 3 }, { used: 3 }]);
  });

  test("of one tenant do not touch those of another", async () => {
    const state = await join();
    expect(await verdictOf(state, [windowOf(1, 60_000)], "acme")).toBe("taken");
    expect(await verdictOf(state, [windowOf(1, 60_000)], "other")).toBe("taken");
    const keys = (await server.run("KEYS", "*")) as string[];
    expect(keys.length).toBeGreaterThan(0);
    expect(keys.every((key) => /^dragoman:limit:\{(?:acme|other|default)\}:/.test(key))).toBe(true);
  });

  test("L7: admit 97 to 101 % at ten times the rate, offered by two processes", async () => {
    const states = [await join(), await join()];
    const counter = windowOf(100, 1_000, { fallback: "closed" });
    const calls: TimedCall[] = [];
    const admitted = () => calls.filter(({ status }) => status === 200).length;
    const ask = async (state: SharedLimitState): Promise<void> => {
      const startedAt = performance.now();
      const status = (await verdictOf(state, [counter])) === "taken" ? 200 : 429;
      calls.push({ startedAt, endedAt: performance.now(), status });
    };
    const offer = async (state: SharedLimitState): Promise<void> => {
      while (admitted() < 300) {
        await Promise.all(Array.from({ length: 5 }, () => ask(state)));
        await pause(4);
      }
    };
    await Promise.all(states.map(offer));
    expectHeld(calls, { limit: 100, windowMs: 1_000 });
  });

  test("R5: count an operation once, however often it is sent, and settle it once", async () => {
    const counters = new RedisCounters({ url: server.url, cluster: false, sentinel: "", commandTimeoutMs: 300, clock: systemClock });
    await counters.connect();
    const take = takeOf([windowOf(100, 60_000, { need: 40 }), budgetOf(1_000, 500, { seed: 0 }), slotsOf(5)]);
    const first = await counters.take(take);
    const again = await counters.take(take);
    expect(again.levels.map(({ used, at }) => [used, at])).toEqual(first.levels.map(({ used, at }) => [used, at]));
    const settlement = settlementOf(take, first, [10, 123, 0]);
    await counters.settle(settlement);
    await counters.settle(settlement);
    expect(await counters.look("acme", take.counters)).toMatchObject([{ used: 10 }, { used: 123 }, { used: 0 }]);
    counters.close();
  });

  test("R5: take part in a cut: an operation whose answer was lost is settled by what it put there", async () => {
    const counters = new RedisCounters({ url: server.url, cluster: false, sentinel: "", commandTimeoutMs: 300, clock: systemClock });
    await counters.connect();
    const take = takeOf([windowOf(1_000, 60_000, { need: 400 })]);
    await counters.take(take);
    // The process never saw the answer: it let the call in by its own share, with less reserved.
    const lost: TakeReply = { verdict: "taken", levels: [{ used: 0, limit: 500, waitMs: 0, resetMs: 0, at: 0, taken: 250 }] };
    await counters.settle(settlementOf(take, lost, [70]));
    expect(await counters.look("acme", take.counters)).toMatchObject([{ used: 70 }]);
    counters.close();
  });

  test("remember what a call took for as long as it may run", async () => {
    const counters = new RedisCounters({ url: server.url, cluster: false, sentinel: "", commandTimeoutMs: 300, clock: systemClock });
    await counters.connect();
    const take = takeOf([budgetOf(1_000, 500, { seed: 0 })]);
    const reply = await counters.take(take);
    const key = `dragoman:limit:{acme}:op:${take.id}`;
    // A deadline may be a day away, and what nobody remembers is never given back.
    expect(await server.run("PTTL", key)).toBeGreaterThan(86_400_000);
    await counters.settle(settlementOf(take, reply, [10]));
    expect(await server.run("PTTL", key)).toBeLessThan(3_600_000);
    counters.close();
  });

  test("refuse as ever where the server's clock has gone back", async () => {
    const state = await join();
    const counter = windowOf(5, 1_000, { fallback: "closed" });
    // As a primary left it whose clock was a minute ahead of this one's.
    const part = Math.floor((Date.now() + 60_000) / 10);
    await server.run("HSET", "dragoman:limit:{acme}:w", "s", "5", "f", String(part), String(part), "5");
    expect(await verdictOf(state, [counter])).toBe("refused");
    expect(state.away).toBe(false);
  });

  test("have money to the nano-dollar beyond 32 bits", async () => {
    const state = await join();
    const limit = 9_000_000_000_000_000;
    const counter = budgetOf(limit, 1, { seed: limit - 1 });
    expect(await verdictOf(state, [counter])).toBe("taken");
    expect(await verdictOf(state, [counter])).toBe("refused");
    expect(await state.look("acme", [counter])).toMatchObject([{ used: limit }]);
  });

  test("leave no slot after aborted calls", async () => {
    const state = await join();
    for (let round = 0; round < 20; round++) {
      await Promise.all(
        Array.from({ length: 50 }, async () => {
          const take = takeOf([slotsOf(50)]);
          const reply = await state.take(take);
          expect(reply.verdict).toBe("taken");
          state.settle(settlementOf(take, reply, [0]));
        }),
      );
    }
    await vi.waitFor(async () => expect(await state.look("acme", [slotsOf(50)])).toMatchObject([{ used: 0 }]));
    expect(state.slotsHeld).toBe(0);
  });

  describe("while Redis is away", () => {
    afterEach(async () => {
      server.thaw();
      await server.kill();
      await server.start();
    });

    test("R2: nobody waits: each process has its share, closed limits are closed, open ones open", async () => {
      const lines: string[] = [];
      const state = await join(2, { ...silentLog, warn: (message) => lines.push(message) });
      expect(await verdictOf(state, [windowOf(10, 60_000)])).toBe("taken");
      await server.kill();
      let admitted = 0;
      for (let call = 0; call < 20; call++) if ((await verdictOf(state, [windowOf(10, 60_000)])) === "taken") admitted++;
      // Half of ten is its share, and one of it was taken before.
      expect(admitted).toBe(4);
      expect(await verdictOf(state, [budgetOf(100, 1)])).toBe("away");
      expect(await verdictOf(state, [budgetOf(100, 1, { fallback: "open" })])).toBe("taken");
      expect(state.away).toBe(true);
      expect(lines).toHaveLength(1);
    });

    test("R3: a frozen one is left alone after one call, and used again within two seconds of its return", async () => {
      const state = await join(2, silentLog, 50);
      const counter = windowOf(1_000_000, 60_000);
      server.freeze();
      const verdicts = await Promise.all(Array.from({ length: 20 }, () => verdictOf(state, [counter])));
      expect(verdicts.every((verdict) => verdict === "taken")).toBe(true);
      expect(state.away).toBe(true);
      const again = state.take(takeOf([counter]));
      expect(again).not.toBeInstanceOf(Promise);
      server.thaw();
      await vi.waitFor(() => expect(state.away).toBe(false), { timeout: 2_000, interval: 20 });
      expect(await verdictOf(state, [counter])).toBe("taken");
    });

    test("R4: what was let in is told when it is back, once, and counters count on", async () => {
      const state = await join();
      const counter = windowOf(1_000, 60_000, { need: 10 });
      const running = takeOf([counter]);
      const reply = await state.take(running);
      await server.kill();
      const meanwhile = takeOf([counter]);
      const taken = await state.take(meanwhile);
      expect(taken.verdict).toBe("taken");
      state.settle(settlementOf(meanwhile, taken, [25]));
      state.settle(settlementOf(running, reply, [7]));
      await server.start();
      await vi.waitFor(async () => expect(await state.look("acme", [counter])).toMatchObject([{ used: 32 }]), {
        timeout: 2_500,
        interval: 50,
      });
      expect(state.away).toBe(false);
    });

    test("R7: a budget that Redis lost is asked for, and never begins below what was seen", async () => {
      const state = await join(1);
      const budget = budgetOf(100, 60, { seed: 0 });
      expect(await verdictOf(state, [budget])).toBe("taken");
      await server.run("FLUSHALL");
      expect(await verdictOf(state, [budgetOf(100, 60)])).toBe("unseeded");
      expect(await verdictOf(state, [budgetOf(100, 60, { seed: 10 })])).toBe("refused");
      expect(await verdictOf(state, [budgetOf(100, 40, { seed: 10 })])).toBe("taken");
    });

    test("R1: at start the process starts, and joins when Redis comes", async () => {
      await server.kill();
      const state = await join();
      expect(state.away).toBe(true);
      expect(await verdictOf(state, [windowOf(10, 60_000)])).toBe("taken");
      await server.start();
      await vi.waitFor(() => expect(state.away).toBe(false), { timeout: 2_500, interval: 20 });
    });
  });
});

test("several machines that share nothing have each its part", async () => {
  const state = new SharedLimitState({ shared: undefined, processes: 4, maxCounters: 100, clock: systemClock, log: silentLog });
  const verdicts = Array.from({ length: 10 }, () => state.take(takeOf([windowOf(20, 60_000)])));
  expect(verdicts.filter((reply) => !(reply instanceof Promise) && reply.verdict === "taken")).toHaveLength(5);
  state.close();
});
