/**
 * A database that is opened by its first use, or anew after an opening that failed: a gateway that stores nothing opens
 * nothing, and one that starts while its database is away finds it when it is back.
 */
import type { Database, TenantScope } from "./database.ts";

export interface OpeningDatabase extends Database {
  /** Throws what the opening throws; opens once. */
  open(): Promise<Database>;
}

/** `open` gives a database that is ready to use: its schema is checked. */
export function createOpeningDatabase(engine: Database["engine"], open: () => Promise<Database>): OpeningDatabase {
  let opening: Promise<Database> | undefined;

  return {
    engine,
    open: ensureOpen,
    rows: async (tenant, sql, values) => (await ensureOpen()).rows(tenant, sql, values),
    write: async (tenant, statements) => (await ensureOpen()).write(tenant, statements),
    async transaction<Result>(tenant: TenantScope, work: Parameters<Database["transaction"]>[1]) {
      return (await ensureOpen()).transaction(tenant, work) as Promise<Result>;
    },
    async close() {
      // One that cannot be opened is closed.
      const database = await opening?.catch(() => undefined);
      await database?.close();
    },
  };

  function ensureOpen(): Promise<Database> {
    if (opening === undefined) {
      const attempt = open();
      opening = attempt;
      attempt.catch(() => {
        if (opening === attempt) opening = undefined;
      });
    }
    return opening;
  }
}
