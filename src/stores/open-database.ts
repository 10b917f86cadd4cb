/** Opens a database and sees to its schema before anybody uses it. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { GatewayError } from "../core/error.ts";
import type { Secret } from "../core/secret.ts";
import { exitCodes, StartError } from "../core/start-error.ts";
import type { StoreEngine } from "../core/stores.ts";
import { allTenants, DamagedFile, type Database } from "./database.ts";
import { migrations } from "./migrations/all-migrations.ts";
import { migrate, readSchemaState } from "./migrations/migrate.ts";
import type { Migration } from "./migrations/migration.ts";
import { openPostgres } from "./postgres/postgres-database.ts";
import { openSqlite } from "./sqlite/sqlite-database.ts";

export interface DatabasePlace {
  readonly engine: StoreEngine;
  /** Where SQLite's file is; made with it. */
  readonly dataDir: string;
  /** Of PostgreSQL. */
  readonly databaseUrl: Secret | undefined;
  /** Most connections of this process. */
  readonly poolSize?: number;
}

/** How long one step of the schema may take: an index over a long table does. */
const migrationMs = 3_600_000;

export function databaseFile(dataDir: string): string {
  return join(dataDir, "dragoman.sqlite");
}

/**
 * SQLite's schema is brought up to date here. PostgreSQL is shared: its schema changes when an operator says so, with
 * `dragoman migrate`, or with `migrateOnStart`. Throws StartError where the schema is another, GatewayError where the
 * database is away.
 */
export async function openDatabase(place: DatabasePlace, now: () => number, migrateOnStart: boolean): Promise<Database> {
  const database = connect(place);
  try {
    if (place.engine !== "postgres") await migrate(database, now);
    else if (!migrateOnStart) await requireCurrent(database);
    // Asked first with the patience of every statement: steps may take an hour, a server that does not answer may not.
    else if ((await readSchemaState(database)).pending.length > 0) await migrateDatabase(place, now);
    return database;
  } catch (thrown) {
    await database.close();
    throw explainDamage(place, thrown);
  }
}

/** With all the time that steps need. Returns the names of those it applied. */
export async function migrateDatabase(place: DatabasePlace, now: () => number): Promise<readonly string[]> {
  const database = connect(place, migrationMs);
  try {
    return (await migrate(database, now)).map(describeStep);
  } catch (thrown) {
    throw explainDamage(place, thrown);
  } finally {
    await database.close();
  }
}

/** Names of the steps that are missing. Throws as openDatabase. */
export async function pendingMigrations(place: DatabasePlace): Promise<readonly string[]> {
  // To look makes no file.
  if (place.engine === "sqlite" && !existsSync(databaseFile(place.dataDir))) return migrations.map(describeStep);
  const database = connect(place);
  try {
    return (await readSchemaState(database)).pending.map(describeStep);
  } catch (thrown) {
    throw explainDamage(place, thrown);
  } finally {
    await database.close();
  }
}

/** What is wrong with SQLite's file, read to its end: empty where it is whole. The file must be there. Throws as openDatabase. */
export async function findDamage(place: DatabasePlace): Promise<readonly string[]> {
  const database = connect(place);
  try {
    const rows = await database.rows(allTenants, "PRAGMA integrity_check(10)");
    return rows.map(({ integrity_check: found }) => String(found)).filter((found) => found !== "ok");
  } catch (thrown) {
    throw explainDamage(place, thrown);
  } finally {
    await database.close();
  }
}

/** To go on would be to begin anew beside half of the records: an operator decides that. */
function explainDamage({ dataDir }: DatabasePlace, thrown: unknown): unknown {
  if (!(thrown instanceof GatewayError) || !(thrown.details.cause instanceof DamagedFile)) return thrown;
  return new StartError(
    `${databaseFile(dataDir)}: the database is damaged (${thrown.details.cause.message}); restore a backup of it, or move it away to begin anew. \`dragoman doctor\` looks for more`,
    exitCodes.io,
    thrown,
  );
}

function describeStep({ version, name }: Migration): string {
  return `${version} ${name}`;
}

function connect({ engine, dataDir, databaseUrl, poolSize }: DatabasePlace, statementMs?: number): Database {
  if (engine !== "postgres") return openSqlite({ file: engine === "memory" ? ":memory:" : databaseFile(dataDir) });
  if (databaseUrl === undefined) throw new StartError("PostgreSQL has no address; set DATABASE_URL or stores.database_url");
  return openPostgres({
    url: databaseUrl,
    ...(poolSize === undefined ? {} : { poolSize }),
    ...(statementMs === undefined ? {} : { statementMs }),
  });
}

async function requireCurrent(database: Database): Promise<void> {
  const { pending } = await readSchemaState(database);
  if (pending.length === 0) return;
  const steps = pending.map(({ version, name }) => `${version} (${name})`).join(", ");
  throw new StartError(`the database's schema is behind this program; run \`dragoman migrate\`. Missing: ${steps}`, exitCodes.config);
}

/** Why a database cannot be opened, for the operator: the driver's words, which hold no password. */
export function describeAway(thrown: unknown): string {
  if (!(thrown instanceof GatewayError)) return thrown instanceof Error ? thrown.message : String(thrown);
  const { cause } = thrown.details;
  return cause instanceof Error ? `${thrown.message} (${cause.message})` : thrown.message;
}
