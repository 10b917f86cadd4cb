import type { Config } from "../config/schema.ts";
import { systemClock } from "../core/clock.ts";
import type { Logger } from "../core/log.ts";
import type { Secret } from "../core/secret.ts";
import type { Stores } from "../core/stores.ts";
import { createRedactor } from "../redaction/redactor.ts";
import { createRequestLog, type RunningRequestLog, type TenantLogRule } from "../request-log/request-log.ts";

const dayMs = 24 * 3_600_000;

/** Undefined where calls are to leave no record. `secrets` of providers stand in none. */
export function openRequestLog(config: Config, stores: Stores, secrets: readonly Secret[], log: Logger): RunningRequestLog | undefined {
  const { request_log: settings, auth, providers } = config;
  if (!settings.enabled) return undefined;
  const headers = Object.values(providers).flatMap((provider) => Object.values(provider.headers));
  const known = [...secrets, ...headers, auth.api_key].flatMap((secret) => (secret === undefined ? [] : [secret.reveal()]));
  return createRequestLog({
    store: stores.requestLog,
    callerAgents: stores.callerAgents,
    redactor: createRedactor({ secrets: known }),
    retention: { byDefault: settings.retention_default, max: settings.retention_max },
    tenants: new Map(Object.entries(settings.tenants).map(([tenant, rule]) => [tenant, readTenantRule(rule)])),
    queue: { maxRecords: settings.queue.max_records, maxBytes: settings.queue.max_bytes, flushMs: settings.queue.flush_ms },
    prune: {
      everyMs: settings.prune_seconds * 1_000,
      maxAgeMs: settings.max_age_days * dayMs,
      maxContentAgeMs: settings.max_content_age_days * dayMs,
      maxBytes: settings.max_bytes,
      maxRecords: stores.engine === "memory" ? settings.max_memory_records : undefined,
    },
    maxBodyLength: settings.max_body_characters,
    maxAgentsPerTenant: settings.max_agents,
    clock: systemClock,
    log,
  });
}

function readTenantRule(rule: Config["request_log"]["tenants"][string]): TenantLogRule {
  const { retention_default, retention_max, max_age_days, max_content_age_days, max_bytes } = rule;
  return {
    ...(retention_default === undefined ? {} : { byDefault: retention_default }),
    ...(retention_max === undefined ? {} : { max: retention_max }),
    ...(max_age_days === undefined ? {} : { maxAgeMs: max_age_days * dayMs }),
    ...(max_content_age_days === undefined ? {} : { maxContentAgeMs: max_content_age_days * dayMs }),
    ...(max_bytes === undefined ? {} : { maxBytes: max_bytes }),
  };
}
