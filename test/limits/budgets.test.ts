/** L8: a hard budget is not passed, wherever its counter is kept, and what was not used is there again to the nano-dollar. */
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { GatewayError } from "../../src/core/error.ts";
import type { LimitFacts, LimitLease } from "../../src/core/limits.ts";
import { silentLog } from "../../src/core/log.ts";
import { readConfiguredLimits } from "../../src/limits/configured-rules.ts";
import type { LimitState } from "../../src/limits/limit-state.ts";
import { createLimiter } from "../../src/limits/limiter.ts";
import { MemoryLimitState } from "../../src/limits/memory-state.ts";
import { RedisCounters } from "../../src/limits/redis-state.ts";
import { createRemoteLimitState, serveLimitState } from "../../src/limits/remote-state.ts";
import { RuleBook } from "../../src/limits/rule-book.ts";
import { SharedLimitState } from "../../src/limits/shared-state.ts";
import { hasRedisServer, type RedisServer, startRedis } from "./redis-server.ts";

const dollar = 1_000_000_000n;
const call: LimitFacts = {
  tenant: "acme",
  project: "",
  owner: "",
  key: "key-1",
  endUser: "",
  models: ["sim/echo"],
  route: "",
};

/** As many gateways as there are states, which count together. */
function limitersOf(states: readonly LimitState[], spent = () => 0n) {
  const book = new RuleBook(readConfiguredLimits([{ tenant: "*", id: "*", subject: "tenant", usd_per_month: "1.00" }]));
  return states.map((state) =>
    createLimiter({
      book,
      state,
      zones: { of: () => "UTC", load: async () => "UTC" },
      spentBefore: async () => spent(),
      rulesChanged: async () => undefined,
    }),
  );
}

type Limiters = ReturnType<typeof limitersOf>;

function costs(costNano: bigint) {
  return { inputTokens: 0, outputTokens: 0, bytes: 0, costNano };
}

/** All at once, in turn by each gateway; those that were let in. */
async function reserve(limiters: Limiters, count: number, costNano: bigint): Promise<LimitLease[]> {
  const outcomes = await Promise.all(
    Array.from({ length: count }, async (_, index) => {
      try {
        return await limiters[index % limiters.length]?.claim(call)?.reserve(costs(costNano));
      } catch (thrown) {
        expect(GatewayError.from(thrown).reason).toBe("quota_exhausted");
        return undefined;
      }
    }),
  );
  return outcomes.filter((lease) => lease !== undefined);
}

async function expectRemaining(limiters: Limiters, remaining: bigint): Promise<void> {
  for (const limiter of limiters) {
    await vi.waitFor(async () => expect((await limiter.usage(call)).map((level) => BigInt(level.remaining))).toEqual([remaining]), {
      timeout: 5_000,
      interval: 10,
    });
  }
}

/** With an output cap a call costs at most what it reserved; it settles anything up to that. */
async function expectNoOverspend(limiters: Limiters): Promise<void> {
  const worst = 30_000_001n;
  const leases = await reserve(limiters, 200, worst);
  expect(leases).toHaveLength(33);
  const settled = leases.map((lease, index) => {
    const costNano = index % 5 === 0 ? worst : worst - BigInt(index) * 777_777n;
    lease.settle(costs(costNano));
    return costNano;
  });
  const spent = settled.reduce((sum, costNano) => sum + costNano, 0n);
  expect(spent).toBeLessThanOrEqual(dollar);
  await expectRemaining(limiters, dollar - spent);
  // Calls that were never dispatched give all of it back, and then the rest can be spent to the last nano-dollar.
  for (const lease of await reserve(limiters, 200, worst)) lease.settle(costs(0n));
  await expectRemaining(limiters, dollar - spent);
  const [last, ...others] = await reserve(limiters, 10, dollar - spent);
  expect(others).toEqual([]);
  last?.settle(costs(dollar - spent));
  await expectRemaining(limiters, 0n);
  expect(await reserve(limiters, 10, 1n)).toEqual([]);
}

/** What costs more than was reserved, as without a cap, passes the budget by that one call; then nobody is let in. */
async function expectOneCallOver(limiters: Limiters): Promise<void> {
  // A worst case above the whole budget reserves all of it, so that it runs alone.
  const leases = await reserve(limiters, 200, 3n * dollar);
  expect(leases).toHaveLength(1);
  leases[0]?.settle(costs(dollar + 250_000_000n));
  await expectRemaining(limiters, 0n);
  expect(await reserve(limiters, 20, 1n)).toEqual([]);
}

function suite(open: () => Promise<readonly LimitState[]>): void {
  test("L8: 200 worst-case reservations at once do not pass $1.00, and what was not used is there again", async () => {
    const states = await open();
    await expectNoOverspend(limitersOf(states));
    for (const state of states) state.close();
  });

  test("L8: without a known cap it is passed by one call at most", async () => {
    const states = await open();
    await expectOneCallOver(limitersOf(states));
    for (const state of states) state.close();
  });
}

describe("in one process", () => {
  suite(async () => [new MemoryLimitState({ clock: systemClock, maxCounters: 100 })]);
});

describe("in workers that share their primary's counters", () => {
  suite(async () => {
    const { handlers } = serveLimitState(new MemoryLimitState({ clock: systemClock, maxCounters: 100 }));
    // As the channel does it: what crosses is cloned and comes in a later turn.
    const askAs =
      (worker: string) =>
      async (topic: string, body: unknown): Promise<unknown> => {
        await new Promise((resolve) => setImmediate(resolve));
        return structuredClone(await handlers[topic]?.(structuredClone(body), worker));
      };
    return ["worker-1", "worker-2"].map((worker) => {
      const ask = askAs(worker);
      return createRemoteLimitState({ ask, tell: (topic, body) => void ask(topic, body) }, () => systemClock.wall());
    });
  });
});

describe.skipIf(!hasRedisServer)("in processes that share a Redis", () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await startRedis();
  });
  afterAll(() => server.close());
  beforeEach(async () => void (await server.run("FLUSHALL")));

  const open = async (): Promise<readonly SharedLimitState[]> =>
    Promise.all(
      [1, 2].map(async () => {
        // No test of speed: a busy machine is not to be taken for a Redis that is away.
        const shared = new RedisCounters({ url: server.url, cluster: false, sentinel: "", commandTimeoutMs: 10_000, clock: systemClock });
        await shared.connect();
        const state = new SharedLimitState({ shared, processes: 2, maxCounters: 100, clock: systemClock, log: silentLog });
        await state.ready();
        return state;
      }),
    );
  suite(open);

  test("R7: after FLUSHALL a budget is rebuilt from the ledger before anybody is let in", async () => {
    const states = await open();
    // The ledger, as the settlements of the calls make it.
    let spent = 0n;
    let asked = 0;
    const limiters = limitersOf(states, () => {
      asked++;
      return spent;
    });
    for (const lease of await reserve(limiters, 20, 30_000_000n)) {
      lease.settle(costs(30_000_000n));
      spent += 30_000_000n;
    }
    await expectRemaining(limiters, dollar - 600_000_000n);
    asked = 0;
    await server.run("FLUSHALL");
    const leases = await reserve(limiters, 200, 30_000_000n);
    expect(asked).toBeGreaterThan(0);
    expect(leases).toHaveLength(13);
    for (const lease of leases) lease.settle(costs(30_000_000n));
    await expectRemaining(limiters, dollar - 990_000_000n);
    for (const state of states) state.close();
  });
});
