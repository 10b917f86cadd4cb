/** Records that are changed one at a time, each change under an etag: `revision` and `updated_at` of its row. */
import { GatewayError } from "../core/error.ts";
import { type Database, type Row, type SqlValue, type Statement, type Transaction, UniqueViolation } from "./database.ts";
import { readNumber } from "./read-value.ts";
import type { Where } from "./where.ts";

/** The time stands in it too: a record that was deleted and made anew begins again at revision 1. */
export function etagOf(row: Row): string {
  return `${readNumber(row, "revision")}-${readNumber(row, "updated_at")}`;
}

function whereEtag(where: Where, etag: string): void {
  const [, revision, updatedAt] = /^(\d{1,15})-(\d{1,15})$/.exec(etag) ?? [];
  if (revision === undefined || updatedAt === undefined) where.and("1 = 0");
  else where.equal("revision", Number(revision)).equal("updated_at", Number(updatedAt));
}

export interface Change {
  readonly table: string;
  /** What the record is called in errors. */
  readonly what: string;
  /** Tenant and id. */
  readonly key: Where;
  readonly etag: string | undefined;
}

/** Sets columns that are not undefined. Throws not_found and etag_mismatch. */
export async function updateRow(
  transaction: Transaction,
  { table, what, key, etag }: Change,
  columns: Readonly<Record<string, SqlValue | undefined>>,
  now: number,
): Promise<Row> {
  const set = Object.entries(columns).filter((entry): entry is [string, SqlValue] => entry[1] !== undefined);
  const named = { sql: key.sql, values: [...key.values] };
  if (etag !== undefined) whereEtag(key, etag);
  const assignments = [...set.map(([column]) => `${column} = ?`), "revision = revision + 1", "updated_at = ?"].join(", ");
  const sql = `UPDATE ${table} SET ${assignments}${key.sql} RETURNING *`;
  const { rows } = await transaction.run(sql, [...set.map(([, value]) => value), now, ...key.values]);
  return rows[0] ?? refuse(transaction, table, what, named);
}

/** Throws not_found and etag_mismatch. */
export async function deleteRow(transaction: Transaction, { table, what, key, etag }: Change): Promise<void> {
  const named = { sql: key.sql, values: [...key.values] };
  if (etag !== undefined) whereEtag(key, etag);
  const { changed } = await transaction.run(`DELETE FROM ${table}${key.sql}`, key.values);
  if (changed === 0) await refuse(transaction, table, what, named);
}

async function refuse(transaction: Transaction, table: string, what: string, { sql, values }: Statement): Promise<never> {
  const { rows } = await transaction.run(`SELECT 1 AS there FROM ${table}${sql}`, values);
  if (rows.length === 0) throw new GatewayError("not_found", `there is no such ${what}`);
  throw new GatewayError("etag_mismatch", `the ${what} was changed since it was read; read it again, and repeat the change`);
}

/** Runs a create; throws already_exists where the record stands. */
export async function creating<Result>(what: string, create: () => Promise<Result>): Promise<Result> {
  try {
    return await create();
  } catch (thrown) {
    if (!(thrown instanceof UniqueViolation)) throw thrown;
    throw new GatewayError("already_exists", `there is a ${what} with this id already; choose another`, { cause: thrown });
  }
}

/**
 * Counts a change of a kind of records. The counter's row is locked until the change is committed, so versions become
 * visible in the order of their numbers: a poll that saw one misses none before it.
 */
export async function nextVersion(transaction: Transaction, kind: string): Promise<number> {
  const sql =
    "INSERT INTO versions (kind, value) VALUES (?, 1) ON CONFLICT (kind) DO UPDATE SET value = versions.value + 1 RETURNING value";
  const [row] = (await transaction.run(sql, [kind])).rows;
  if (row === undefined) throw new Error(`the database did not count a change of ${kind}`);
  return readNumber(row, "value");
}

/** Keeps others from changing records of a kind until the transaction is over, without a change of its own. */
export async function holdVersion(transaction: Transaction, kind: string): Promise<void> {
  await transaction.run("UPDATE versions SET value = value WHERE kind = ?", [kind]);
}

/** 0 where nothing ever changed. */
export async function readVersion(database: Database, kind: string): Promise<number> {
  const [row] = await database.rows("*", "SELECT value FROM versions WHERE kind = ?", [kind]);
  return row === undefined ? 0 : readNumber(row, "value");
}
