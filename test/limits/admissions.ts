/**
 * Whether calls that were made keep to a limit on requests, from what a client sees: when each began and ended, and its
 * answer. Nothing is assumed of the machine: where calls take long, less can be told of when each was decided, and less is held
 * against it.
 */
import { expect } from "vitest";

export interface TimedCall {
  /** Milliseconds of performance.now(). The gateway decided at some moment between the two. */
  readonly startedAt: number;
  readonly endedAt: number;
  readonly status: number;
}

export interface RateLimit {
  readonly limit: number;
  readonly windowMs: number;
}

/** A window is counted in a hundred parts, the oldest whole; and the clocks of two processes round to a millisecond. */
const partsTolerance = 1.01;
const roundingMs = 2;

/** No window let in more than 101 % of the limit, and nobody was refused before 97 % of it were let in. */
export function expectHeld(calls: readonly TimedCall[], { limit, windowMs }: RateLimit): void {
  const admitted = calls.filter(({ status }) => status === 200);
  const refused = calls.filter(({ status }) => status === 429);
  expect(calls.filter(({ status }) => status !== 200 && status !== 429)).toEqual([]);
  expect(refused.length, "more is offered than the limit").toBeGreaterThan(0);
  for (const { startedAt } of admitted) {
    const until = startedAt + windowMs - roundingMs;
    const surely = admitted.filter((call) => call.startedAt >= startedAt && call.endedAt <= until);
    expect(surely.length, "let in within one window").toBeLessThanOrEqual(limit * 1.01);
  }
  for (const { startedAt, endedAt } of refused) {
    const from = startedAt - windowMs * partsTolerance - roundingMs;
    const perhaps = admitted.filter((call) => call.endedAt >= from && call.startedAt <= endedAt);
    expect(perhaps.length, "let in before a refusal").toBeGreaterThanOrEqual(limit * 0.97);
  }
}
