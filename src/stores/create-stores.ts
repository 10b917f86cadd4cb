/** All stores over one database. */
import { existsSync } from "node:fs";
import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/error.ts";
import type { Logger } from "../core/log.ts";
import { exitCodes, StartError } from "../core/start-error.ts";
import type { StoreEngine, Stores } from "../core/stores.ts";
import { createAuditStore } from "./audit.ts";
import { createCallerAgentStore } from "./caller-agents.ts";
import { allTenants } from "./database.ts";
import { createIdempotencyStore, type IdempotencyBounds } from "./idempotency.ts";
import { createKeyStore } from "./keys.ts";
import { createLedgerStore } from "./ledger.ts";
import { createLimitRuleStore } from "./limit-rules.ts";
import { createMemoryResponses } from "./memory-responses.ts";
import { type DatabasePlace, databaseFile, describeAway, openDatabase } from "./open-database.ts";
import { createOpeningDatabase } from "./opening-database.ts";
import { createPriceStore } from "./prices.ts";
import { createRequestLogStore } from "./request-log.ts";
import { createResponseStore } from "./responses.ts";
import { createSessionStore } from "./sessions.ts";
import { createProjectStore, createTenantStore } from "./tenants.ts";

export interface StoresOptions extends DatabasePlace {
  /** Whether PostgreSQL's schema is brought up to date as SQLite's always is. */
  readonly migrateOnStart: boolean;
  readonly responses: { readonly maxBytes: number; readonly ttlMs: number };
  /** Most bytes of answers that are kept for repeats; absent: no bound. */
  readonly idempotency?: IdempotencyBounds | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Opens what is durable at once, so that a wrong schema or an unreadable file stops the start (StartError); a PostgreSQL
 * that is away does not: calls fail as `store_unavailable` until it is back. What is in memory is opened by its first use.
 */
export async function createStores(options: StoresOptions): Promise<Stores> {
  const { engine, clock, log, migrateOnStart } = options;
  const database = createOpeningDatabase(engine === "postgres" ? "postgres" : "sqlite", () =>
    openDatabase(options, () => clock.wall(), migrateOnStart).catch((thrown: unknown) => {
      if (thrown instanceof StartError && started) log.error("the database cannot be used", { error: thrown });
      throw thrown instanceof StartError && started ? new GatewayError("store_unavailable", thrown.message, { cause: thrown }) : thrown;
    }),
  );
  let started = false;
  if (engine !== "memory") {
    try {
      await database.open();
    } catch (thrown) {
      if (thrown instanceof StartError) throw thrown;
      if (engine === "sqlite") throw new StartError(`${databaseFile(options.dataDir)}: ${describeAway(thrown)}`, exitCodes.io, thrown);
      log.warn("the database is away; the gateway starts without it", { error: thrown });
    }
  }
  started = true;

  return {
    engine,
    tenants: createTenantStore(database, clock),
    projects: createProjectStore(database, clock),
    keys: createKeyStore(database, clock),
    limitRules: createLimitRuleStore(database, clock),
    prices: createPriceStore(database, clock),
    ledger: createLedgerStore(database),
    requestLog: createRequestLogStore(database),
    sessions: createSessionStore(database),
    callerAgents: createCallerAgentStore(database, clock),
    audit: createAuditStore(database),
    idempotency: createIdempotencyStore(database, options.idempotency),
    // In memory without a detour over a thread.
    responses:
      engine === "memory"
        ? createMemoryResponses({ ...options.responses, clock })
        : createResponseStore(database, { ...options.responses, clock }),
    async isThere() {
      try {
        await database.rows(allTenants, "SELECT 1 AS there");
        return true;
      } catch {
        return false;
      }
    },
    close: () => database.close(),
  };
}

/**
 * Where records are kept. What is configured counts; without it PostgreSQL where it has an address, SQLite where a
 * directory was named or holds the file already, else this process's memory: a gateway that was told nothing leaves
 * nothing behind.
 */
export function chooseEngine({
  configured,
  databaseUrl,
  dataDir,
}: Pick<DatabasePlace, "databaseUrl" | "dataDir"> & { readonly configured: StoreEngine | "auto" }): StoreEngine {
  if (configured !== "auto") return configured;
  if (databaseUrl !== undefined) return "postgres";
  return existsSync(databaseFile(dataDir)) ? "sqlite" : "memory";
}
