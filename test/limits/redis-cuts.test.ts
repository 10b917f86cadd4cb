/** R5, R8 and R9: replies that are lost after their script ran, and calls that do not wait for theirs, and clocks that are wrong. */
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { RedisCounters } from "../../src/limits/redis-state.ts";
import { budgetOf, settlementOf, slotsOf, takeOf, windowOf } from "./counters.ts";
import { type RedisProxy, startRedisProxy } from "./redis-proxy.ts";
import { hasRedisServer, type RedisServer, startRedis } from "./redis-server.ts";

describe.skipIf(!hasRedisServer)("counters in Redis", { timeout: 90_000 }, () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await startRedis();
  });
  afterAll(() => server.close());
  beforeEach(async () => void (await server.run("FLUSHALL")));

  async function connect(commandTimeoutMs: number): Promise<{ proxy: RedisProxy; counters: RedisCounters }> {
    const proxy = await startRedisProxy(server.url);
    const counters = new RedisCounters({ url: proxy.url, cluster: false, sentinel: "", commandTimeoutMs, clock: systemClock });
    onTestFinished(async () => {
      counters.close();
      await proxy.close();
    });
    // A busy machine may need longer for the first answer than a command may take.
    await counters.connect();
    await expect.poll(() => counters.answers(), { timeout: 10_000 }).toBe(true);
    return { proxy, counters };
  }

  /** Again and again, as whoever shares counters does when Redis is back. */
  async function untilAnswered<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
    for (;;) {
      try {
        return await ask();
      } catch {
        await pause(5);
      }
    }
  }

  test("R9: processes whose clocks are 10 s apart hold a limit together, and agree on the time", async () => {
    const processes = await Promise.all(
      [-5_000, 5_000].map(async (ahead) => {
        const clock = { now: () => systemClock.now(), wall: () => Date.now() + ahead };
        const counters = new RedisCounters({ url: server.url, cluster: false, sentinel: "", commandTimeoutMs: 10_000, clock });
        onTestFinished(() => counters.close());
        expect(await counters.connect()).toBe(true);
        return counters;
      }),
    );
    const counter = windowOf(100, 3_600_000);
    const verdicts = await Promise.all(
      Array.from({ length: 400 }, async (_, call) => (await processes[call % 2]?.take(takeOf([counter])))?.verdict),
    );
    expect(verdicts.filter((verdict) => verdict === "taken")).toHaveLength(100);
    // Days and months begin by this clock: far nearer than their own are to each other.
    const [one = 0, other = 0] = processes.map((counters) => counters.wall());
    expect(Math.abs(one - other)).toBeLessThan(5_000);
  });

  test("R5: 300 replies are lost after their script ran, and every take and settlement counts once", async () => {
    const operations = 25;
    const processes = 6;
    const counters = [windowOf(1_000_000, 3_600_000, { need: 40 }), budgetOf(1_000_000, 500, { seed: 0 }), slotsOf(1_000)];
    const lost = await Promise.all(
      Array.from({ length: processes }, async () => {
        const { proxy, counters: redis } = await connect(10_000);
        for (let operation = 0; operation < operations; operation++) {
          const take = takeOf(counters);
          proxy.loseReply();
          const reply = await untilAnswered(() => redis.take(take));
          expect(reply.verdict).toBe("taken");
          const settlement = settlementOf(take, reply, [10, 123, 0]);
          proxy.loseReply();
          await untilAnswered(() => redis.settle(settlement));
        }
        return proxy.lost;
      }),
    );
    expect(lost).toEqual(Array.from({ length: processes }, () => 2 * operations));
    const { counters: redis } = await connect(10_000);
    const all = operations * processes;
    expect(await redis.look("acme", counters)).toMatchObject([{ used: 10 * all }, { used: 123 * all }, { used: 0 }]);
  });

  test("R5: a take whose reply was lost is there once, and is given back once", async () => {
    const { proxy, counters: redis } = await connect(10_000);
    const counters = [budgetOf(1_000, 500, { seed: 0 }), slotsOf(5)];
    const take = takeOf(counters);
    proxy.loseReply();
    await expect(redis.take(take)).rejects.toThrow();
    expect(await untilAnswered(() => redis.look("acme", counters))).toMatchObject([{ used: 500 }, { used: 1 }]);
    const reply = await redis.take(take);
    await redis.settle(settlementOf(take, reply, [0, 0]));
    await redis.settle(settlementOf(take, reply, [0, 0]));
    expect(await redis.look("acme", counters)).toMatchObject([{ used: 0 }, { used: 0 }]);
  });

  test("R8: 1,000 calls that do not wait for their replies, and everybody gets their own", async () => {
    const { proxy, counters: redis } = await connect(30);
    // Replies come after 0 to 60 ms, in their order: about half of the calls have given up by then.
    let state = 1;
    proxy.delay = () => {
      state = (state * 48_271) % 2_147_483_647;
      return state % 60;
    };
    // What a tenant has used is a multiple of its own number, which is prime and larger than any count of calls.
    const marks = [1_009, 1_013, 1_019, 1_021, 1_031, 1_033, 1_039, 1_049, 1_051, 1_061].map((prime, index) => ({
      tenant: `tenant-${index}`,
      counters: [windowOf(1_000_000_000, 3_600_000, { need: prime })],
      prime,
    }));
    const foreign: number[] = [];
    let abandoned = 0;
    while (abandoned < 1_000) {
      await Promise.all(
        marks.map(async ({ tenant, counters, prime }) => {
          try {
            const { levels } = await redis.take(takeOf(counters, tenant));
            if (levels[0] === undefined || levels[0].used === 0 || levels[0].used % prime !== 0) foreign.push(levels[0]?.used ?? -1);
          } catch {
            abandoned++;
          }
        }),
      );
    }
    proxy.delay = () => 0;
    expect(foreign).toEqual([]);
    for (const { tenant, counters, prime } of marks) {
      const [level] = await untilAnswered(() => redis.look(tenant, counters));
      expect(level?.used).toBeGreaterThan(0);
      expect((level?.used ?? 1) % prime).toBe(0);
    }
  });
});
