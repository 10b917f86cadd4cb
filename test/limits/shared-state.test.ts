import { expect, test, vi } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { silentLog } from "../../src/core/log.ts";
import type { Settlement } from "../../src/limits/limit-state.ts";
import { MemoryLimitState } from "../../src/limits/memory-state.ts";
import { type SharedCounters, SharedLimitState } from "../../src/limits/shared-state.ts";
import { budgetOf, settlementOf, slotsOf, takeOf, windowOf } from "./counters.ts";

/** Shared counters that can be cut off after they did what they were asked. */
function start() {
  const there = new MemoryLimitState({ clock: systemClock, maxCounters: 100 });
  const settled: Settlement[] = [];
  const facts = { cut: false };
  const cut = (): void => {
    if (facts.cut) throw new Error("cut");
  };
  const shared: SharedCounters = {
    connected: false,
    trouble: "",
    wall: () => Date.now(),
    answers: async () => !facts.cut,
    async take(take) {
      const reply = there.take(take);
      cut();
      return reply;
    },
    async settle(settlement) {
      cut();
      settled.push(settlement);
    },
    look: (tenant, counters) => there.look(tenant, counters),
    reset: (tenant, counters) => there.reset(tenant, counters),
    close: () => undefined,
  };
  const state = new SharedLimitState({ shared, processes: 2, maxCounters: 100, clock: systemClock, log: silentLog });
  return { facts, settled, state };
}

test("R5: a take that may have happened and is refused here is taken back when the shared state is there again", async () => {
  const { facts, settled, state } = start();
  await state.ready();
  facts.cut = true;
  const take = takeOf([budgetOf(100, 60, { seed: 0 }), slotsOf(5)]);
  expect((await state.take(take)).verdict).toBe("away");
  facts.cut = false;
  await vi.waitFor(() => expect(settled).toHaveLength(1), { timeout: 2_000, interval: 10 });
  expect(settled[0]).toMatchObject({ id: take.id, changes: [{ total: 0 }, { total: 0 }] });
  state.close();
});

test("settlements that could not be told are told later, each once and in order", async () => {
  const { facts, settled, state } = start();
  await state.ready();
  const takes = Array.from({ length: 5 }, () => takeOf([windowOf(100, 60_000)]));
  const replies = await Promise.all(takes.map((take) => state.take(take)));
  facts.cut = true;
  for (const [index, take] of takes.entries()) {
    const reply = replies[index];
    if (reply !== undefined) state.settle(settlementOf(take, reply, [index]));
  }
  await vi.waitFor(() => expect(state.away).toBe(true));
  facts.cut = false;
  await vi.waitFor(() => expect(settled).toHaveLength(5), { timeout: 2_000, interval: 10 });
  expect(settled.map(({ id }) => id)).toEqual(takes.map(({ id }) => id));
  state.close();
});

test("a budget that is shared without a shared state begins with this process's part of what was spent", async () => {
  const state = new SharedLimitState({ shared: undefined, processes: 2, maxCounters: 100, clock: systemClock, log: silentLog });
  const budget = (seed?: number) => [budgetOf(1_000, 100, { fallback: "local-share", ...(seed === undefined ? {} : { seed }) })];
  const take = takeOf(budget());
  expect((await state.take(take)).verdict).toBe("unseeded");
  expect((await state.take({ ...take, counters: budget(800) })).verdict).toBe("taken");
  expect((await state.take(takeOf(budget()))).verdict).toBe("refused");
  state.close();
});

test("a budget that is first met while the shared state is away begins so too, and is told once", async () => {
  const { facts, settled, state } = start();
  await state.ready();
  facts.cut = true;
  const take = takeOf([budgetOf(1_000, 100, { fallback: "local-share" })]);
  expect((await state.take(take)).verdict).toBe("unseeded");
  const seeded = { ...take, counters: [budgetOf(1_000, 100, { fallback: "local-share", seed: 800 })] };
  const reply = await state.take(seeded);
  expect(reply.verdict).toBe("taken");
  state.settle(settlementOf(seeded, reply, [60]));
  const refused = takeOf([budgetOf(1_000, 200, { fallback: "local-share", seed: 800 })]);
  expect((await state.take(refused)).verdict).toBe("refused");
  facts.cut = false;
  await vi.waitFor(() => expect(settled).toHaveLength(2), { timeout: 2_000, interval: 10 });
  expect(settled).toMatchObject([
    { id: take.id, changes: [{ total: 60 }] },
    { id: refused.id, changes: [{ total: 0 }] },
  ]);
  state.close();
});
