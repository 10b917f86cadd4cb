import fc from "fast-check";
import { expect, test } from "vitest";
import { LoopDelay } from "../../src/overload/loop-delay.ts";

const options = { intervalMs: 50, slowMs: 200, stallMs: 1_000 };

/** Turns of the loop, each as long as said; gives the time at the end. */
function run(delay: LoopDelay, turns: readonly number[], start = 0): number {
  let now = start;
  delay.tick(now);
  for (const turn of turns) delay.tick((now += turn));
  return now;
}

const quiet = (seconds: number) => Array.from({ length: seconds * 20 }, () => 50);

test("one long pause is not yet too slow, a second of standing still is, for as long as it is fresh", () => {
  const delay = new LoopDelay(options);
  let now = run(delay, [...quiet(5), 900]);
  expect(delay.isSlow(now)).toBe(false);
  now = run(delay, [2_050], now);
  expect(delay.isSlow(now)).toBe(true);
  expect(delay.stalls).toBe(1);
  now = run(delay, quiet(1), now);
  expect(delay.isSlow(now)).toBe(false);
});

test("pauses again and again are too slow, and short ones never", () => {
  const often = new LoopDelay(options);
  expect(often.isSlow(run(often, [300, 300, 300]))).toBe(true);
  expect(often.stalls).toBe(0);
  const short = new LoopDelay(options);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 250 })), (turns) => {
      expect(short.isSlow(run(short, turns, 1e9))).toBe(false);
    }),
    { numRuns: 1 },
  );
});

test("says how long the loop stood still", () => {
  const delay = new LoopDelay(options);
  delay.tick(0);
  expect(delay.tick(50)).toBeUndefined();
  expect(delay.tick(2_100)).toBe(2_000);
});
