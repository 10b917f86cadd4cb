/**
 * What stores need of a database. SQL is written once, in what SQLite and PostgreSQL both understand: `?` for a value,
 * `ON CONFLICT ... DO UPDATE`, `RETURNING`, row values, window functions. Booleans are 0 and 1.
 */
import { GatewayError } from "../core/error.ts";

export type SqlValue = string | number | bigint | Uint8Array | null;

/** By column. Whole numbers may come as number, bigint or decimal text: see read-value.ts. */
export type Row = Readonly<Record<string, unknown>>;

export interface Statement {
  readonly sql: string;
  /** One for each `?`, in order. */
  readonly values: readonly SqlValue[];
}

export interface Outcome {
  /** What a SELECT or RETURNING gave. */
  readonly rows: readonly Row[];
  /** Rows that were written. */
  readonly changed: number;
}

/** Whose rows a statement may touch: a tenant's id, or `allTenants`. PostgreSQL enforces it beside the WHERE (row-level security). */
export type TenantScope = string;
export const allTenants: TenantScope = "*";

export interface Transaction {
  run(sql: string, values?: readonly SqlValue[]): Promise<Outcome>;
}

/**
 * Throws GatewayError `store_unavailable` where the database is away and `timeout` where it took too long, UniqueViolation
 * for a row that stands already. Nothing waits without an end.
 */
export interface Database {
  readonly engine: "sqlite" | "postgres";
  /** One statement that only reads. */
  rows(tenant: TenantScope, sql: string, values?: readonly SqlValue[]): Promise<readonly Row[]>;
  /** Statements that take effect together or not at all, in one trip. */
  write(tenant: TenantScope, statements: readonly Statement[]): Promise<readonly Outcome[]>;
  /** As write, where one statement depends on the answer of another. `work` uses nothing but its argument; it may run again. */
  transaction<Result>(tenant: TenantScope, work: (transaction: Transaction) => Promise<Result>): Promise<Result>;
  close(): Promise<void>;
}

/** The one row that a RETURNING must give. */
export function onlyRow(outcomes: readonly Outcome[]): Row {
  const row = outcomes[0]?.rows[0];
  if (row === undefined) throw new Error("the database returned no row for what it wrote");
  return row;
}

/** A boolean as a column holds it. */
export function flag(value: boolean): number;
export function flag(value: boolean | undefined): number | undefined;
export function flag(value: boolean | undefined): number | undefined {
  return value === undefined ? undefined : Number(value);
}

/** A row with this key stands already. */
export class UniqueViolation extends Error {
  override readonly name = "UniqueViolation";
}

/** The file that holds the database is not as it was written: why it is away, until somebody restores it. */
export class DamagedFile extends Error {
  override readonly name = "DamagedFile";
}

/** How soon a caller is told to come back. */
const retryAfterMs = 1_000;

export function storeAway(cause: unknown): GatewayError {
  return new GatewayError("store_unavailable", "the database is away; repeat the call later", { cause, retryAfterMs, undispatched: true });
}

export function storeTimeout(cause: unknown): GatewayError {
  return new GatewayError("timeout", "the database took too long; narrow what is asked for", { cause, undispatched: true });
}

/** PostgreSQL's texts hold no NUL; both engines keep the same. */
export function bindable(value: SqlValue): SqlValue {
  return typeof value === "string" && value.includes("\u0000") ? value.replaceAll("\u0000", "\ufffd") : value;
}
