/** /metrics and /statsz of one process, or of all workers together, whichever of them is asked. */
import type { Exposition } from "../core/exposition.ts";
import type { WorkerLink } from "../core/worker-link.ts";
import type { CountedMetrics } from "./metrics.ts";
import { type MetricsSnapshot, renderMetrics } from "./prometheus.ts";
import { type StatsSnapshot, showStats } from "./stats.ts";

/** Topics of WorkerLink.askAll: the body is not looked at; the answers are MetricsSnapshot and StatsSnapshot. */
const metricsTopic = "telemetry.metrics";
const statsTopic = "telemetry.stats";

export function createExposition(metrics: CountedMetrics, link: WorkerLink | undefined): Exposition {
  if (link === undefined) {
    return {
      metrics: async () => renderMetrics([await metrics.snapshot()]),
      stats: async () => showStats([metrics.stats()]),
    };
  }
  link.serve(metricsTopic, () => metrics.snapshot());
  link.serve(statsTopic, () => metrics.stats());
  return {
    // Only these handlers answer these topics.
    metrics: async () => renderMetrics((await link.askAll(metricsTopic, undefined)) as MetricsSnapshot[]),
    stats: async () => showStats((await link.askAll(statsTopic, undefined)) as StatsSnapshot[]),
  };
}
