import type { Config } from "../config/schema.ts";
import { systemClock } from "../core/clock.ts";
import type { Logger } from "../core/log.ts";
import type { Stores } from "../core/stores.ts";
import { chooseEngine, createStores } from "../stores/create-stores.ts";
import type { DatabasePlace } from "../stores/open-database.ts";

/** The stores that configuration asks for: of the gateway, and of commands that change records without it. */
export function openStores(config: Config, log: Logger): Promise<Stores> {
  return createStores({
    ...databasePlace(config),
    migrateOnStart: config.stores.migrate_on_start,
    responses: { maxBytes: config.responses_store.max_bytes, ttlMs: config.responses_store.ttl_seconds * 1_000 },
    idempotency: { maxBytes: config.idempotency.max_bytes, maxKeys: config.idempotency.max_keys },
    clock: systemClock,
    log,
  });
}

/** Whether a configuration keeps records where other processes find them: a gateway's memory is its own. */
export function sharesRecords(config: Config): boolean {
  return databasePlace(config).engine !== "memory";
}

export function databasePlace({ stores, data_dir: dataDir }: Config): DatabasePlace {
  const { database_url: databaseUrl, pool_size: poolSize } = stores;
  return { engine: chooseEngine({ configured: stores.engine, databaseUrl, dataDir }), dataDir, databaseUrl, poolSize };
}
