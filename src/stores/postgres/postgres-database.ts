/**
 * PostgreSQL by a pool of connections. Every statement runs in a transaction that names its tenant, which row-level
 * security compares with the rows. A server that is away or does not answer is an error within the deadline, never a wait.
 */
import { setTimeout as sleep } from "node:timers/promises";
import postgres from "postgres";
import type { Secret } from "../../core/secret.ts";
import { bindable, type Database, type Outcome, type SqlValue, storeAway, type TenantScope, type Transaction } from "../database.ts";
import { explainFailure, isLost, kindOf } from "./explain-failure.ts";
import { numberValues } from "./numbered.ts";

export interface PostgresOptions {
  /** `postgres://user:password@host:port/database`, with the options of libpq's URIs. */
  readonly url: Secret;
  /** Most connections. */
  readonly poolSize?: number;
  /** Longest statement, in milliseconds; a whole transaction may take somewhat longer with each of its statements. */
  readonly statementMs?: number;
}

/** How much longer a transaction may take for each statement of it. */
const perStatementMs = 50;

/** Tries of a transaction that others were in the way of. */
const maxTries = 5;

export function openPostgres({ url, poolSize = 10, statementMs = 2_000 }: PostgresOptions): Database {
  let pool = createPool();
  let closed = false;

  return {
    engine: "postgres",

    async rows(tenant, sql, values = []) {
      const outcomes = await transact(tenant, 1, async ({ run }) => [await run(sql, values)]);
      return outcomes.flatMap(({ rows }) => rows);
    },

    async write(tenant, statements) {
      if (statements.length === 0) return [];
      // All are sent before the first is answered.
      return transact(tenant, statements.length, ({ run }) => Promise.all(statements.map(({ sql, values }) => run(sql, values))));
    },

    transaction: (tenant, work) => transact(tenant, 1, work),

    async close() {
      closed = true;
      await pool.end({ timeout: statementMs / 1_000 });
    },
  };

  function createPool(): postgres.Sql {
    const seconds = statementMs / 1_000;
    return postgres(url.reveal(), {
      max: poolSize,
      connect_timeout: Math.min(seconds, 2),
      idle_timeout: 60,
      keep_alive: 15,
      // The library's own growing pause would make the first calls after an outage wait.
      backoff: () => 0.05,
      // One query less on every new connection: arrays are not used.
      fetch_types: false,
      onnotice: () => undefined,
      connection: { application_name: "dragoman", statement_timeout: statementMs, lock_timeout: statementMs },
    });
  }

  async function transact<Result>(tenant: TenantScope, statements: number, work: Work<Result>): Promise<Result> {
    for (let tries = 1; ; tries++) {
      if (closed) throw storeAway(new Error("the store is closed"));
      const used = pool;
      try {
        return await withDeadline(used, statementMs + perStatementMs * statements, tenant, work);
      } catch (thrown) {
        const kind = kindOf(thrown);
        // Connections that were cut are not to be used again (see runTransaction), nor those to a server that is a standby now.
        if (kind === "away") replacePool(used);
        if (kind !== "conflict" || tries === maxTries) throw explainFailure(thrown);
        await sleep(Math.random() * 20 * 2 ** tries);
      }
    }
  }

  /** A server that does not answer at all does not stop its statements either: its connections are given up. */
  async function withDeadline<Result>(used: postgres.Sql, ms: number, tenant: TenantScope, work: Work<Result>): Promise<Result> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      replacePool(used);
      late.reject(storeAway(new Error(`PostgreSQL did not answer within ${ms} ms`)));
    }, ms + graceMs);
    try {
      return await Promise.race([runTransaction(used, tenant, work), late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  function replacePool(old: postgres.Sql): void {
    if (pool !== old || closed) return;
    pool = createPool();
    // Destroys its sockets; what still waits on them fails as away.
    old.end({ timeout: 0 }).catch(() => undefined);
  }
}

/** So that the server's own statement timeout is heard first. */
const graceMs = 250;

type Work<Result> = (transaction: Transaction) => Promise<Result>;

/**
 * On a connection that was cut nothing may be said any more: version 3.4.9 of the library answers that with an exception
 * that nobody can catch (porsager/postgres#1154). It says ROLLBACK itself where its callback fails, so that one does not
 * end then.
 */
async function runTransaction<Result>(pool: postgres.Sql, tenant: TenantScope, work: Work<Result>): Promise<Result> {
  const cut = Promise.withResolvers<never>();
  const begun = pool.begin(async (connection) => {
    let isOver = false;
    let lost: unknown;
    const run = async (sql: string, values: readonly SqlValue[] = []): Promise<Outcome> => {
      if (lost !== undefined) throw lost;
      // The connection may be another transaction's by now.
      if (isOver) throw storeAway(new Error("the transaction is over"));
      try {
        return await send(connection, sql, values);
      } catch (thrown) {
        if (isLost(thrown)) lost = thrown;
        throw thrown;
      }
    };
    try {
      const named = run("SELECT set_config('dragoman.tenant', ?, true)", [tenant]);
      const [result] = await Promise.all([work({ run }), named]);
      return { result };
    } catch (thrown) {
      if (lost === undefined) throw thrown;
      cut.reject(lost);
      return new Promise<never>(() => undefined);
    } finally {
      isOver = true;
    }
  });
  return (await Promise.race([begun, cut.promise])).result as Result;
}

async function send(connection: postgres.TransactionSql, text: string, values: readonly SqlValue[]): Promise<Outcome> {
  const { sql, prepare } = numberValues(text);
  const rows = await connection.unsafe(sql, values.map(parameter), { prepare });
  return { rows, changed: rows.count };
}

/** Numbers of every width as text: the server knows the column's type, and a statement keeps one plan. */
function parameter(value: SqlValue): string | Uint8Array | null {
  const bound = bindable(value);
  return typeof bound === "number" || typeof bound === "bigint" ? String(bound) : bound;
}
