import { expect, test } from "vitest";
import { BackOff, standardBackOff } from "../../src/cluster/back-off.ts";

test("the wait doubles from 0.1 s to 10 s", () => {
  const backOff = new BackOff(standardBackOff);
  const waits = Array.from({ length: 9 }, () => backOff.next(0));
  expect(waits).toEqual([100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
});

test("after a quiet minute it begins again", () => {
  const backOff = new BackOff(standardBackOff);
  for (let end = 0; end < 8; end++) backOff.next(0);
  expect(backOff.next(59_999)).toBe(10_000);
  expect(backOff.next(60_000)).toBe(100);
  expect(backOff.next(0)).toBe(200);
});
