import type { Config } from "../config/schema.ts";
import { systemClock } from "../core/clock.ts";
import type { LiveCatalog } from "../providers/catalog.ts";
import { CountedMetrics, type MetricsOptions } from "../telemetry/metrics.ts";
import { version } from "../version.ts";

export interface MetricsSources extends Pick<MetricsOptions, "inflight" | "admitted" | "captureDropped" | "stalls" | "overloaded"> {
  readonly catalog: () => LiveCatalog;
}

/** Undefined where nothing is to be counted. The sources are asked later than now, when somebody wants to see the numbers. */
export function createMetrics({ telemetry: { metrics } }: Config, { catalog, ...sources }: MetricsSources): CountedMetrics | undefined {
  if (!metrics.enabled) return undefined;
  return new CountedMetrics({
    ...sources,
    clock: systemClock,
    version,
    maxModels: metrics.max_models,
    isListed: (model, provider) =>
      catalog()
        .list()
        .some(({ id }) => id === model || id === `${provider}/${model}`),
    hasList: (provider) =>
      catalog()
        .list()
        .some(({ providers }) => providers.includes(provider)),
  });
}
