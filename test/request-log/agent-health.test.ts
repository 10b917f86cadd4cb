import { describe, expect, test } from "vitest";
import type { RequestSummary } from "../../src/core/request-log-store.ts";
import { agentStatusOf, healthOf } from "../../src/request-log/agent-health.ts";

const hour = 3_600_000;
const now = 1_000 * hour;

function calls(success: number, failed: number, p90: number, firstAt: number): RequestSummary {
  return {
    group: {},
    requests: success + failed,
    byStatus: { success, error: failed },
    promptTokens: 0n,
    completionTokens: 0n,
    costNano: 0n,
    unpriced: 0,
    latencyMs: { p50: p90, p90, p99: p90 },
    firstAt,
    lastAt: now,
  };
}

describe("health of a caller agent", () => {
  test.each([
    ["all well", calls(100, 0, 900, now - 100 * hour), 100],
    ["half of all failed, few an hour", calls(50, 50, 900, now - 100 * hour), 70],
    ["half of all failed, 60 an hour", calls(600, 600, 900, now - 10 * hour), 50],
    ["half of all failed, 30 an hour", calls(300, 300, 900, now - 10 * hour), 60],
    ["twice as slow as is well", calls(100, 0, 10_000, now - 100 * hour), 90],
    ["nothing but errors, very slow", calls(0, 10_000, 120_000, now - 100 * hour), 1],
    ["younger than an hour: as if it were one", calls(30, 30, 900, now - hour / 100), 60],
    ["older than seven days: those alone count", calls(0, 168 * 30, 5_000, now - 900 * hour), 30],
  ])("%s", (_, summary, health) => {
    expect(healthOf(summary, now)).toBe(health);
  });

  test("is not known without calls", () => {
    expect(healthOf(undefined, now)).toBeUndefined();
  });

  test.each([
    [100, now, "healthy"],
    [80, now, "healthy"],
    [79, now, "degraded"],
    [50, now, "degraded"],
    [49, now, "critical"],
    [100, now - 24 * hour, "offline"],
    [10, now - 25 * hour, "offline"],
    [100, now - 168 * hour, "inactive"],
    [undefined, undefined, "inactive"],
  ] as const)("health %s, last seen at %s: %s", (health, lastSeenAt, status) => {
    expect(agentStatusOf(health, lastSeenAt, now)).toBe(status);
  });
});
