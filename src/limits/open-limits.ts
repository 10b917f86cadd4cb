/** The limits of one process, put together: rules of configuration and store, and where their counters are. */
import type { Clock } from "../core/clock.ts";
import type { LedgerStore } from "../core/ledger-store.ts";
import type { LimitRuleStore } from "../core/limit-rule-store.ts";
import type { CallerPace, LimitDesk, Limiter, ProviderQuotas } from "../core/limits.ts";
import type { Logger } from "../core/log.ts";
import type { Secret } from "../core/secret.ts";
import { StartError } from "../core/start-error.ts";
import type { TenantStore } from "../core/tenant-store.ts";
import type { WorkerLink } from "../core/worker-link.ts";
import { type CallerPaceOptions, createCallerPace } from "./caller-pace.ts";
import { type ConfiguredLimit, readConfiguredLimits } from "./configured-rules.ts";
import type { RedisPlace } from "./connect-redis.ts";
import type { LimitRule } from "./limit-rule.ts";
import type { LimitState } from "./limit-state.ts";
import { createLimiter } from "./limiter.ts";
import { MemoryLimitState } from "./memory-state.ts";
import { createProviderQuotas, type ProviderQuota } from "./provider-quotas.ts";
import { RedisCounters } from "./redis-state.ts";
import { createRemoteLimitState } from "./remote-state.ts";
import { RuleBook } from "./rule-book.ts";
import { SharedLimitState } from "./shared-state.ts";
import { createSpentBefore } from "./spent-before.ts";
import { StoredRules } from "./stored-rules.ts";
import { TenantZones } from "./tenant-zones.ts";

export interface LimitsOptions {
  readonly configured: readonly ConfiguredLimit[];
  readonly store: Pick<LimitRuleStore, "version" | "listAll">;
  readonly ledger: Pick<LedgerStore, "spent">;
  readonly tenants: Pick<TenantStore, "get">;
  readonly machines: number;
  /** Worker processes of one machine. */
  readonly workers: number;
  readonly redis: Omit<RedisPlace, "url"> & { readonly url: Secret | undefined };
  /** What each provider may be sent, by its name. */
  readonly quotas: ReadonlyMap<string, ProviderQuota>;
  /** Undefined: callers may come as often as they like. */
  readonly pace: Omit<CallerPaceOptions, "state"> | undefined;
  /** To the primary process of this machine, where there are several workers. */
  readonly link: WorkerLink | undefined;
  readonly maxCounters: number;
  readonly pollMs: number;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface OpenedLimits {
  readonly limiter: Limiter & LimitDesk;
  /** Undefined where no provider has a quota. */
  readonly quotas: ProviderQuotas | undefined;
  readonly pace: CallerPace | undefined;
  /** For /readyz: what is away, and which rules do not hold as they should. */
  readonly readiness: () => { readonly away: readonly string[]; readonly unenforceable: readonly string[] };
  close(): void;
}

/** Throws StartError where several machines share nothing and a rule does not say what holds then (reliability.md 3.9). */
export async function openLimits(options: LimitsOptions): Promise<OpenedLimits> {
  const { store, tenants, ledger, pollMs, clock, log } = options;
  const configured = readConfiguredLimits(options.configured);
  const alone = isAlone(options);
  const [unsaid] = alone ? [] : configured.filter(saysNothing);
  if (unsaid !== undefined) {
    throw new StartError(
      `limits.machines is ${options.machines}, but the machines share no Redis, so the limit of the ${unsaid.subject} "${unsaid.subjectId}" cannot hold; set REDIS_URL, or say shared_state_gone: local-share in the rule`,
    );
  }
  const book = new RuleBook(configured);
  const rules = new StoredRules({ store, book, log, pollMs });
  await rules.refresh();
  const state = await openState(options);
  const limiter = createLimiter({
    book,
    state,
    zones: new TenantZones(tenants, () => clock.now()),
    spentBefore: createSpentBefore(ledger),
    rulesChanged: () => rules.refresh(),
  });
  const unheld = () => [...rules.unreadable, ...(alone ? [] : book.rules.filter(saysNothing).map(({ id }) => id))];
  return {
    limiter,
    quotas: createProviderQuotas(state, options.quotas),
    pace: options.pace === undefined ? undefined : createCallerPace({ ...options.pace, state }),
    readiness: () => ({
      away: state.away ? [options.redis.url === undefined ? "limits" : "redis"] : [],
      unenforceable: [...(rules.known ? [] : ["stored limits"]), ...unheld().map((id) => `limit ${id}`)],
    }),
    close() {
      rules.close();
      state.close();
    },
  };
}

/** Whether nobody else counts, or all count together. */
function isAlone({ machines, redis }: LimitsOptions): boolean {
  return machines === 1 || redis.url !== undefined;
}

function saysNothing({ settings }: LimitRule): boolean {
  return settings.shared_state_gone === undefined;
}

async function openState(options: LimitsOptions): Promise<LimitState> {
  const { machines, workers, redis, link, maxCounters, clock, log } = options;
  const processes = machines * workers;
  if (redis.url === undefined && isAlone(options)) {
    return link === undefined ? new MemoryLimitState({ clock, maxCounters }) : createRemoteLimitState(link, () => clock.wall());
  }
  const { url } = redis;
  const shared = url === undefined ? undefined : new RedisCounters({ ...redis, url, clock });
  await shared?.connect();
  const state = new SharedLimitState({ shared, processes, maxCounters, clock, log });
  await state.ready();
  if (state.away) {
    log.warn("the shared state of the limits is away; each limit does what is configured for that", { error: shared?.trouble });
  }
  return state;
}
