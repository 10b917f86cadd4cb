import { availableParallelism } from "node:os";
import type { Config } from "../config/schema.ts";
import { systemClock } from "../core/clock.ts";
import type { Logger } from "../core/log.ts";
import type { Stores } from "../core/stores.ts";
import type { WorkerLink } from "../core/worker-link.ts";
import { type OpenedLimits, openLimits } from "../limits/open-limits.ts";

/** Limits and budgets as configured and stored; without a link their counters are this process's own, or those of Redis. */
export function openLimiter(config: Config, stores: Stores, link: WorkerLink | undefined, log: Logger): Promise<OpenedLimits> {
  const { limits, redis, server } = config;
  return openLimits({
    configured: limits.rules,
    store: stores.limitRules,
    ledger: stores.ledger,
    tenants: stores.tenants,
    machines: limits.machines,
    workers: link === undefined ? 1 : server.workers === "auto" ? availableParallelism() : server.workers,
    redis: { url: redis.url, commandTimeoutMs: redis.command_timeout_ms },
    link,
    maxCounters: limits.max_counters,
    pollMs: limits.refresh_seconds * 1_000,
    clock: systemClock,
    log,
  });
}
