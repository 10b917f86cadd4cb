/**
 * What every worker has counted, in the memory of their primary process: counters go on where a worker that ended left off,
 * and one that does not answer keeps its place with what it said last.
 */
import type { SharedService } from "../core/worker-link.ts";
import { foldCounters, type MetricsSnapshot } from "./prometheus.ts";
import { foldStats, type StatsSnapshot } from "./stats.ts";

/** What one process has counted since it started. */
export interface WorkerCounts {
  readonly metrics: MetricsSnapshot;
  readonly stats: StatsSnapshot;
}

/** `keep`: a worker's WorkerCounts, with no answer; `all`: no body, answered with a list of WorkerCounts that are to be added up. */
export const countTopics = { keep: "telemetry.keep", all: "telemetry.all" } as const;

/** A word of a worker may still be under way when its end is seen: so many of the last that ended are known. */
const maxEnded = 100;

/** What the primary process holds for its workers. */
export function serveWorkerCounts(): SharedService {
  const living = new Map<string, WorkerCounts>();
  const ended = new Set<string>();
  let before: WorkerCounts | undefined;
  return {
    handlers: {
      [countTopics.keep](body, from) {
        if (!ended.has(from)) living.set(from, body as WorkerCounts);
      },
      [countTopics.all]: () => [...living.values(), ...(before === undefined ? [] : [before])],
    },
    gone(from) {
      const last = living.get(from);
      living.delete(from);
      ended.add(from);
      for (const oldest of ended) {
        if (ended.size <= maxEnded) break;
        ended.delete(oldest);
      }
      if (last === undefined) return;
      const both = before === undefined ? [last] : [before, last];
      before = { metrics: foldCounters(both.map(({ metrics }) => metrics)), stats: foldStats(both.map(({ stats }) => stats)) };
    },
  };
}
