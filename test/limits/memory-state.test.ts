import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MemoryLimitState } from "../../src/limits/memory-state.ts";
import { budgetOf, MovedClock, settlementOf, slotsOf, takeOf, windowOf } from "./counters.ts";

function start(maxCounters = 1_000) {
  const clock = new MovedClock();
  return { clock, state: new MemoryLimitState({ clock, maxCounters }) };
}

describe("a window", () => {
  test("never admits more than the limit within any span of its length", () => {
    const steps = fc.array(fc.record({ pause: fc.integer({ min: 0, max: 700 }), need: fc.integer({ min: 1, max: 5 }) }), {
      maxLength: 300,
    });
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 20 }), (taken, limit) => {
        const { clock, state } = start();
        const admitted: { at: number; amount: number }[] = [];
        for (const { pause, need } of taken) {
          clock.move(pause);
          const amount = Math.min(need, limit);
          if (state.take(takeOf([windowOf(limit, 1_000, { need: amount })])).verdict === "taken") admitted.push({ at: clock.time, amount });
        }
        for (const { at } of admitted) {
          const within = admitted.filter((other) => other.at > at - 1_000 && other.at <= at);
          expect(within.reduce((sum, { amount }) => sum + amount, 0)).toBeLessThanOrEqual(limit);
        }
      }),
    );
  });

  test("L7: admits 97 to 101 % of the limit when ten times as much is offered", () => {
    const { clock, state } = start();
    let admitted = 0;
    for (let call = 0; call < 60_000; call++) {
      if (state.take(takeOf([windowOf(100, 1_000)])).verdict === "taken") admitted++;
      clock.move(1);
    }
    expect(admitted / 6_000).toBeGreaterThanOrEqual(0.97);
    expect(admitted / 6_000).toBeLessThanOrEqual(1.01);
  });

  test("tells when there is room again, and has it then", () => {
    const { clock, state } = start();
    const counter = windowOf(2, 1_000);
    state.take(takeOf([counter]));
    clock.move(400);
    state.take(takeOf([counter]));
    const [level] = state.take(takeOf([counter])).levels;
    expect(level?.waitMs).toBeGreaterThan(0);
    clock.move((level?.waitMs ?? 0) - 1);
    expect(state.take(takeOf([counter])).verdict).toBe("refused");
    clock.move(1);
    expect(state.take(takeOf([counter])).verdict).toBe("taken");
  });

  test("gets back what was reserved and not used", () => {
    const { state } = start();
    const take = takeOf([windowOf(100, 60_000, { need: 90 })]);
    const reply = state.take(take);
    expect(state.take(takeOf([windowOf(100, 60_000, { need: 20 })])).verdict).toBe("refused");
    state.settle(settlementOf(take, reply, [30]));
    expect(state.take(takeOf([windowOf(100, 60_000, { need: 70 })])).verdict).toBe("taken");
  });

  test("keeps what was used beyond the estimate", () => {
    const { state } = start();
    const take = takeOf([windowOf(100, 60_000, { need: 10 })]);
    state.settle(settlementOf(take, state.take(take), [130]));
    expect(state.take(takeOf([windowOf(100, 60_000, { need: 1 })])).levels[0]?.used).toBe(130);
  });
});

describe("a take", () => {
  test("takes of all counters or of none", () => {
    const { state } = start();
    const full = windowOf(1, 60_000, { key: "full" });
    state.take(takeOf([full]));
    expect(state.take(takeOf([windowOf(5, 60_000, { key: "free" }), slotsOf(5), full])).verdict).toBe("refused");
    expect(state.slotsHeld).toBe(0);
    expect(state.take(takeOf([windowOf(5, 60_000, { key: "free" })])).levels[0]?.used).toBe(1);
  });

  test("of one tenant does not touch the counters of another", () => {
    const { state } = start();
    expect(state.take(takeOf([windowOf(1, 60_000)], "acme")).verdict).toBe("taken");
    expect(state.take(takeOf([windowOf(1, 60_000)], "acme")).verdict).toBe("refused");
    expect(state.take(takeOf([windowOf(1, 60_000)], "other")).verdict).toBe("taken");
  });

  test("of a budget that is not known asks what was spent, and then counts from there", () => {
    const { state } = start();
    expect(state.take(takeOf([budgetOf(100, 30)])).verdict).toBe("unseeded");
    expect(state.take(takeOf([budgetOf(100, 30, { seed: 80 })])).verdict).toBe("refused");
    expect(state.take(takeOf([budgetOf(100, 20, { seed: 80 })])).verdict).toBe("taken");
    expect(state.take(takeOf([budgetOf(100, 1)])).verdict).toBe("refused");
  });
});

describe("slots", () => {
  test("are all free after 10 000 calls that ended in whatever way", () => {
    const { state } = start();
    for (let call = 0; call < 10_000; call++) {
      const take = takeOf([slotsOf(50), windowOf(1_000_000, 60_000, { need: 100 })]);
      const reply = state.take(take);
      expect(reply.verdict).toBe("taken");
      state.settle(settlementOf(take, reply, [1, 0]));
    }
    expect(state.slotsHeld).toBe(0);
  });

  test("P5: of a process that died are given back", () => {
    const { state } = start();
    state.take(takeOf([slotsOf(2)]), "worker-1");
    state.take(takeOf([slotsOf(2)]), "worker-2");
    expect(state.take(takeOf([slotsOf(2)]), "worker-2").verdict).toBe("refused");
    state.forget("worker-1");
    expect(state.take(takeOf([slotsOf(2)]), "worker-2").verdict).toBe("taken");
  });
});

describe("memory", () => {
  test("holds no more counters than it may, and never forgets one with a slot", () => {
    const { state } = start(100);
    state.take(takeOf([slotsOf(1)]));
    for (let user = 0; user < 5_000; user++) state.take(takeOf([windowOf(5, 60_000, { key: `user-${user}` })]));
    expect(state.size).toBeLessThanOrEqual(101);
    expect(state.take(takeOf([slotsOf(1)])).verdict).toBe("refused");
  });

  test("forgets what is idle", () => {
    const { clock, state } = start();
    for (let user = 0; user < 500; user++) state.take(takeOf([windowOf(5, 1_000, { key: `user-${user}` })]));
    clock.move(10_000);
    for (let call = 0; call < 300; call++) state.take(takeOf([windowOf(1_000, 60_000)]));
    expect(state.size).toBe(1);
  });
});
