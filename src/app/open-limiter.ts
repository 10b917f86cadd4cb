import { availableParallelism } from "node:os";
import { clientAddress, createAddressList } from "../access/address-list.ts";
import type { Config } from "../config/schema.ts";
import { systemClock } from "../core/clock.ts";
import type { Logger } from "../core/log.ts";
import type { Stores } from "../core/stores.ts";
import type { WorkerLink } from "../core/worker-link.ts";
import type { OpenLedger } from "../ledger/open-ledger.ts";
import { spentWithEstates } from "../ledger/spent-with-estates.ts";
import { type LimitsOptions, type OpenedLimits, openLimits } from "../limits/open-limits.ts";

export interface LimiterParts {
  readonly stores: Stores;
  readonly books: Pick<OpenLedger, "inherited">;
  readonly link: WorkerLink | undefined;
  readonly log: Logger;
}

function paceOf({ limits: { caller_pace: pace }, server }: Config): LimitsOptions["pace"] {
  if (!pace.enabled) return undefined;
  const proxies = server.trusted_proxies.length === 0 ? undefined : createAddressList(server.trusted_proxies);
  return { perSecond: pace.requests_per_second, burst: pace.burst, addressOf: (peer) => clientAddress(peer, proxies) };
}

/** Where the state that replicas share is; no address: there is none. */
export function redisPlace({ redis }: Config): LimitsOptions["redis"] {
  return {
    url: redis.url,
    cluster: redis.cluster ?? (redis.sentinel === undefined && redis.url?.reveal().includes(",") === true),
    sentinel: redis.sentinel ?? "",
    commandTimeoutMs: redis.command_timeout_ms,
  };
}

/** Limits and budgets as configured and stored; without a link their counters are this process's own, or those of Redis. */
export function openLimiter(config: Config, { stores, books, link, log }: LimiterParts): Promise<OpenedLimits> {
  const { limits, server } = config;
  return openLimits({
    configured: limits.rules,
    store: stores.limitRules,
    ledger: spentWithEstates(stores.ledger, books.inherited),
    tenants: stores.tenants,
    machines: limits.machines,
    workers: link === undefined ? 1 : server.workers === "auto" ? availableParallelism() : server.workers,
    quotas: new Map(
      Object.entries(config.providers).map(([name, { ratelimit_max_rpm: requestsPerMinute, ratelimit_max_tpm: tokensPerMinute }]) => [
        name,
        { requestsPerMinute, tokensPerMinute },
      ]),
    ),
    pace: paceOf(config),
    redis: redisPlace(config),
    link,
    maxCounters: limits.max_counters,
    pollMs: limits.refresh_seconds * 1_000,
    clock: systemClock,
    log,
  });
}
