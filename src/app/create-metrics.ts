import type { Config } from "../config/schema.ts";
import { systemClock } from "../core/clock.ts";
import type { StoppableCallStarter } from "../pipeline/call-starter.ts";
import type { Pipeline } from "../pipeline/operations.ts";
import type { LiveCatalog } from "../providers/catalog.ts";
import { CountedMetrics, type MetricsOptions } from "../telemetry/metrics.ts";
import { version } from "../version.ts";

/** What calls run on. */
export interface CallParts {
  readonly catalog: LiveCatalog;
  readonly operations: Pipeline;
  readonly starter: StoppableCallStarter;
}

export interface MetricsSources extends Pick<MetricsOptions, "captureDropped" | "ledger" | "stalls" | "overloaded"> {
  /** Undefined while the start has not come so far: the numbers may be asked for by then, also by a start that failed. */
  readonly calls: () => CallParts | undefined;
}

/** Undefined where nothing is to be counted. The sources are asked later than now, when somebody wants to see the numbers. */
export function createMetrics({ telemetry: { metrics } }: Config, { calls, ...sources }: MetricsSources): CountedMetrics | undefined {
  if (!metrics.enabled) return undefined;
  const models = () => calls()?.catalog.list() ?? [];
  return new CountedMetrics({
    ...sources,
    clock: systemClock,
    version,
    maxModels: metrics.max_models,
    inflight: () => calls()?.starter.running() ?? 0,
    admitted: () => calls()?.operations.admission.places() ?? [],
    isListed: (model, provider) => models().some(({ id }) => id === model || id === `${provider}/${model}`),
    hasList: (provider) => models().some(({ providers }) => providers.includes(provider)),
  });
}
