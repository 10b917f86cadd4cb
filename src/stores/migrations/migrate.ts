/** Brings a database's schema to what this program needs, and says where it stands. */
import { exitCodes, StartError } from "../../core/start-error.ts";
import { allTenants, type Database, type Transaction } from "../database.ts";
import { readNumber, readText } from "../read-value.ts";
import { migrations } from "./all-migrations.ts";
import type { Migration } from "./migration.ts";

const types = {
  sqlite: { text: "TEXT", bytes: "BLOB" },
  // Sorted by bytes, as SQLite does, whatever the server's locale is.
  postgres: { text: 'TEXT COLLATE "C"', bytes: "BYTEA" },
} as const;

export interface AppliedMigration {
  readonly version: number;
  readonly name: string;
}

export interface SchemaState {
  readonly applied: readonly AppliedMigration[];
  /** Steps of this program that the database does not have. */
  readonly pending: readonly Migration[];
}

/** Reads only. Throws StartError where the database belongs to a newer program, or to none of ours. */
export async function readSchemaState(database: Database): Promise<SchemaState> {
  return stateOf(await readApplied(database));
}

/**
 * Applies what is pending, each step in a transaction of its own; two programs at once apply each step once. Returns the
 * steps that this call applied. Throws StartError as readSchemaState.
 */
export async function migrate(database: Database, now: () => number): Promise<readonly Migration[]> {
  await database.transaction(allTenants, async (transaction) => {
    await lock(database, transaction);
    const { text } = types[database.engine];
    await transaction.run(
      `CREATE TABLE IF NOT EXISTS schema_migrations (version BIGINT PRIMARY KEY, name ${text} NOT NULL, applied_at BIGINT NOT NULL)`,
    );
  });
  const { pending } = await readSchemaState(database);
  const done: Migration[] = [];
  for (const migration of pending) {
    const applied = await database.transaction(allTenants, (transaction) => applyOne(database, transaction, migration, now()));
    if (applied) done.push(migration);
  }
  return done;
}

async function applyOne(database: Database, transaction: Transaction, migration: Migration, now: number): Promise<boolean> {
  await lock(database, transaction);
  const { version, name, statements, [database.engine]: ownStatements = [] } = migration;
  const { rows } = await transaction.run("SELECT version FROM schema_migrations WHERE version = ?", [version]);
  if (rows.length > 0) return false;
  for (const statement of [...statements, ...ownStatements]) await transaction.run(forEngine(statement, database.engine));
  await transaction.run("INSERT INTO schema_migrations (version, name, applied_at) VALUES (?, ?, ?)", [version, name, now]);
  return true;
}

/** Any number that no other program uses for its own locks. */
const lockNumber = 7_240_961_331;

/** SQLite's transactions exclude each other by themselves. */
async function lock(database: Database, transaction: Transaction): Promise<void> {
  if (database.engine === "postgres") await transaction.run("SELECT pg_advisory_xact_lock(?)", [lockNumber]);
}

function forEngine(statement: string, engine: Database["engine"]): string {
  return statement.replaceAll("{text}", types[engine].text).replaceAll("{bytes}", types[engine].bytes);
}

async function readApplied(database: Database): Promise<readonly AppliedMigration[]> {
  const sql = {
    sqlite: "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'schema_migrations'",
    postgres: "SELECT 1 AS name WHERE to_regclass('schema_migrations') IS NOT NULL",
  };
  if ((await database.rows(allTenants, sql[database.engine])).length === 0) return [];
  const rows = await database.rows(allTenants, "SELECT version, name FROM schema_migrations ORDER BY version");
  return rows.map((row) => ({ version: readNumber(row, "version"), name: readText(row, "name") }));
}

function stateOf(applied: readonly AppliedMigration[]): SchemaState {
  const newest = migrations.at(-1)?.version ?? 0;
  const theirs = applied.find(({ version }) => version > newest);
  if (theirs !== undefined) {
    throw new StartError(
      `the database has schema ${theirs.version} (${theirs.name}), this program knows schemas up to ${newest}; start a newer version, or restore the backup that was made before the newer one was started`,
      exitCodes.config,
    );
  }
  const other = applied.find(({ version, name }) => migrations.find((migration) => migration.version === version)?.name !== name);
  if (other !== undefined) {
    throw new StartError(
      `the database's schema ${other.version} is called "${other.name}", which is none of this program's; is it the database of another program?`,
      exitCodes.config,
    );
  }
  const known = new Set(applied.map(({ version }) => version));
  return { applied, pending: migrations.filter(({ version }) => !known.has(version)) };
}
