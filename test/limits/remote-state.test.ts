import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import type { WorkerLink } from "../../src/core/worker-link.ts";
import { MemoryLimitState } from "../../src/limits/memory-state.ts";
import { createRemoteLimitState, serveLimitState } from "../../src/limits/remote-state.ts";
import { budgetOf, slotsOf, takeOf, windowOf } from "./counters.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** A worker and its primary process, which does what it is asked and tells it so late. */
function start(answerMs: number) {
  const there = new MemoryLimitState({ clock: systemClock, maxCounters: 100 });
  const { handlers } = serveLimitState(there);
  const run = (topic: string, body: unknown): unknown => handlers[topic]?.(body, "1.1");
  const link: Pick<WorkerLink, "ask" | "tell"> = {
    async ask(topic, body) {
      const answer = run(topic, body);
      await new Promise((resolve) => setTimeout(resolve, answerMs));
      return answer;
    },
    tell: (topic, body) => void run(topic, body),
  };
  return { there, state: createRemoteLimitState(link, () => Date.now()) };
}

test("what was taken, but told too late to the call that asked, is given back", async () => {
  const { there, state } = start(5_000);
  const take = takeOf([slotsOf(1), windowOf(100, 60_000, { need: 40 }), budgetOf(1_000, 500, { seed: 0 })]);
  const asked = Promise.resolve(state.take(take));
  await vi.advanceTimersByTimeAsync(1_000);
  expect(await asked).toEqual({ verdict: "away", levels: [] });
  expect(there.slotsHeld).toBe(1);
  await vi.advanceTimersByTimeAsync(4_000);
  expect(await there.look("acme", take.counters)).toMatchObject([{ used: 0 }, { used: 0 }, { used: 0 }]);
});

test("what was taken and told in time is kept", async () => {
  const { there, state } = start(900);
  const take = takeOf([slotsOf(1)]);
  const asked = Promise.resolve(state.take(take));
  await vi.advanceTimersByTimeAsync(900);
  expect((await asked).verdict).toBe("taken");
  await vi.advanceTimersByTimeAsync(120_000);
  expect(there.slotsHeld).toBe(1);
});
