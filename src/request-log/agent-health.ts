/** How a caller agent is, by its calls of the last seven days (surfaces.md U22). */
import type { RequestSummary } from "../core/request-log-store.ts";

export type AgentStatus = "healthy" | "degraded" | "critical" | "offline" | "inactive";

const hourMs = 3_600_000;
export const healthSpanMs = 7 * 24 * hourMs;
const offlineMs = 24 * hourMs;
/** What nine in ten calls may take for all points. */
const goodP90Ms = 5_000;
/** Errors in an hour from which there are no points. */
const badErrorsPerHour = 60;

/** 0 to 100, of the calls of seven days; undefined where there were none. `now` is when the seven days end. */
export function healthOf(calls: RequestSummary | undefined, now: number): number | undefined {
  if (calls === undefined || calls.requests === 0) return undefined;
  const success = calls.byStatus.success ?? 0;
  // An agent that began an hour ago is judged by that hour.
  const hours = Math.max(1, Math.min(healthSpanMs, now - calls.firstAt) / hourMs);
  const errorsPerHour = (calls.requests - success) / hours;
  const p90 = calls.latencyMs?.p90 ?? 0;
  const speed = p90 <= goodP90Ms ? 1 : goodP90Ms / p90;
  return Math.round(60 * (success / calls.requests) + 20 * speed + 20 * Math.max(0, 1 - errorsPerHour / badErrorsPerHour));
}

/** `lastSeenAt` is undefined for an agent that never called. */
export function agentStatusOf(health: number | undefined, lastSeenAt: number | undefined, now: number): AgentStatus {
  const silentMs = lastSeenAt === undefined ? Number.POSITIVE_INFINITY : now - lastSeenAt;
  if (silentMs >= healthSpanMs) return "inactive";
  if (silentMs >= offlineMs) return "offline";
  if (health === undefined || health >= 80) return "healthy";
  return health >= 50 ? "degraded" : "critical";
}
