/** The numbers of /statsz (surfaces.md 8, N20): counts and latencies by model, and how providers do. */
import type { Usage } from "../../gen/dragoman/v1/usage_pb.ts";
import { writeExactDollars } from "../core/money.ts";
import { LatencySketch, type SketchCounts } from "./latency-sketch.ts";

const countNames = [
  "requests",
  "input_tokens",
  "output_tokens",
  "reasoning_tokens",
  "cache_hit_tokens",
  "cache_miss_tokens",
  "cache_creation_tokens",
  "errors",
] as const;

type ModelCounts = Record<(typeof countNames)[number], number>;

interface ModelStats {
  readonly counts: ModelCounts;
  /** Milliseconds of calls that succeeded. */
  readonly latency: LatencySketch;
  /** Milliseconds from a call's start to its first content. */
  readonly firstContent: LatencySketch;
}

interface ProviderStats {
  requests: number;
  errors: number;
  /** Failures since its last success. */
  consecutive: number;
}

/** What one process counted, as it travels to another. */
export interface StatsSnapshot {
  readonly uptimeSeconds: number;
  readonly models: Readonly<
    Record<string, { readonly counts: ModelCounts; readonly latency: SketchCounts; readonly firstContent: SketchCounts }>
  >;
  readonly providers: Readonly<Record<string, Readonly<ProviderStats>>>;
  readonly costNano: bigint;
  readonly unpriced: number;
}

export class Stats {
  readonly #models = new Map<string, ModelStats>();
  readonly #providers = new Map<string, ProviderStats>();
  #costNano = 0n;
  #unpriced = 0;

  callEnded(model: string, isSuccess: boolean, durationMs: number, firstContentMs: number | undefined): void {
    const stats = this.#model(model);
    stats.counts.requests++;
    if (!isSuccess) {
      stats.counts.errors++;
      return;
    }
    stats.latency.add(durationMs);
    if (firstContentMs !== undefined) stats.firstContent.add(firstContentMs);
  }

  /** `costNano` is undefined where no price is known. */
  used(model: string, usage: Usage, costNano: bigint | undefined): void {
    const { counts } = this.#model(model);
    const { inputTokens = 0, outputTokens = 0, reasoningTokens = 0, cacheReadTokens = 0, cacheWriteTokens = 0 } = usage;
    counts.input_tokens += inputTokens;
    counts.output_tokens += outputTokens;
    counts.reasoning_tokens += reasoningTokens;
    counts.cache_hit_tokens += cacheReadTokens;
    counts.cache_miss_tokens += Math.max(0, inputTokens - cacheReadTokens);
    counts.cache_creation_tokens += cacheWriteTokens;
    if (costNano === undefined) this.#unpriced++;
    else this.#costNano += costNano;
  }

  providerAnswered(provider: string, isSuccess: boolean): void {
    const stats = this.#provider(provider);
    stats.requests++;
    if (isSuccess) stats.consecutive = 0;
    else {
      stats.errors++;
      stats.consecutive++;
    }
  }

  snapshot(uptimeSeconds: number): StatsSnapshot {
    return {
      uptimeSeconds,
      models: Object.fromEntries(
        [...this.#models].map(([name, { counts, latency, firstContent }]) => [
          name,
          { counts: { ...counts }, latency: latency.toCounts(), firstContent: firstContent.toCounts() },
        ]),
      ),
      providers: Object.fromEntries([...this.#providers].map(([name, stats]) => [name, { ...stats }])),
      costNano: this.#costNano,
      unpriced: this.#unpriced,
    };
  }

  /** Takes over what another process counted. */
  add({ models, providers, costNano, unpriced }: StatsSnapshot): void {
    for (const [name, { counts, latency, firstContent }] of Object.entries(models)) {
      const stats = this.#model(name);
      for (const key of countNames) stats.counts[key] += counts[key];
      stats.latency.addCounts(latency);
      stats.firstContent.addCounts(firstContent);
    }
    for (const [name, { requests, errors, consecutive }] of Object.entries(providers)) {
      const stats = this.#provider(name);
      stats.requests += requests;
      stats.errors += errors;
      stats.consecutive = Math.max(stats.consecutive, consecutive);
    }
    this.#costNano += costNano;
    this.#unpriced += unpriced;
  }

  /** The object of /statsz. */
  show(uptimeSeconds: number): object {
    const models = [...this.#models].sort(([left], [right]) => (left < right ? -1 : 1));
    return {
      uptime_seconds: Math.floor(uptimeSeconds),
      models: Object.fromEntries(models.map(([name, { counts }]) => [name, counts])),
      latency: Object.fromEntries(models.map(([name, stats]) => [name, showLatency(stats)])),
      circuit_breakers: {},
      mcp: {},
      provider_health: Object.fromEntries([...this.#providers].map(([name, stats]) => [name, showHealth(stats)])),
      stream_buffer_pool: { hits: 0, misses: 0 },
      billing: { cost_usd: writeExactDollars(this.#costNano), unpriced_attempts: this.#unpriced },
    };
  }

  #model(name: string): ModelStats {
    let stats = this.#models.get(name);
    if (stats === undefined) {
      const counts = Object.fromEntries(countNames.map((key) => [key, 0])) as ModelCounts;
      stats = { counts, latency: new LatencySketch(), firstContent: new LatencySketch() };
      this.#models.set(name, stats);
    }
    return stats;
  }

  #provider(name: string): ProviderStats {
    let stats = this.#providers.get(name);
    if (stats === undefined) {
      stats = { requests: 0, errors: 0, consecutive: 0 };
      this.#providers.set(name, stats);
    }
    return stats;
  }
}

/** The numbers of several processes as one. */
export function showStats(snapshots: readonly StatsSnapshot[]): object {
  const together = new Stats();
  for (const snapshot of snapshots) together.add(snapshot);
  return together.show(Math.max(0, ...snapshots.map(({ uptimeSeconds }) => uptimeSeconds)));
}

/** The numbers of processes that ended, added up. What they last saw of providers is no longer so. */
export function foldStats(snapshots: readonly StatsSnapshot[]): StatsSnapshot {
  const together = new Stats();
  for (const snapshot of snapshots) together.add(snapshot);
  const { providers, ...rest } = together.snapshot(0);
  return { ...rest, providers: Object.fromEntries(Object.entries(providers).map(([name, stats]) => [name, { ...stats, consecutive: 0 }])) };
}

function showLatency({ latency, firstContent }: ModelStats): object {
  return {
    count: latency.count,
    p50_ms: round(latency.quantile(0.5)),
    p90_ms: round(latency.quantile(0.9)),
    p99_ms: round(latency.quantile(0.99)),
    ttft_p50_ms: round(firstContent.quantile(0.5)),
  };
}

/** Failing: nothing but failures lately. */
const failuresInARow = 5;

function showHealth({ requests, errors, consecutive }: ProviderStats): object {
  return { status: consecutive >= failuresInARow ? "failing" : "ok", requests, errors, consecutive_errors: consecutive };
}

/** 0 where nothing was measured yet. */
function round(ms: number | undefined): number {
  return ms === undefined ? 0 : Math.round(ms * 10) / 10;
}
