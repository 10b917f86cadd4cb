/** One page of a list by key: the cursor holds the sort key of the last row, so inserts elsewhere move nothing. */
import { invalidField } from "../core/error.ts";
import { maxPageSize, type Page, type PageRequest } from "../core/page.ts";
import type { Database, Row, SqlValue, TenantScope } from "./database.ts";
import { readNumber, readText } from "./read-value.ts";
import type { Where } from "./where.ts";

export interface SortColumn {
  readonly column: string;
  readonly kind: "number" | "text";
}

export interface ListOf<Item> {
  /** Stands in the cursor, so that none is used with another list. */
  readonly name: string;
  /** A table, or `(SELECT ...) AS name`. */
  readonly from: string;
  readonly where: Where;
  /** Together unique within the list. */
  readonly order: readonly SortColumn[];
  readonly descending: boolean;
  /** Rows to pass over on the first page. */
  readonly skip?: number | undefined;
  readonly read: (row: Row) => Item;
}

export async function readPage<Item>(
  source: Pick<Database, "rows">,
  tenant: TenantScope,
  list: ListOf<Item>,
  page: PageRequest,
): Promise<Page<Item>> {
  const { name, from, where, order, descending, skip = 0, read } = list;
  const size = Math.min(Math.max(1, Math.trunc(page.size) || 1), maxPageSize);
  const columns = order.map(({ column }) => column);
  if (page.cursor !== undefined) {
    const marks = columns.map(() => "?").join(", ");
    where.and(`(${columns.join(", ")}) ${descending ? "<" : ">"} (${marks})`, ...readCursor(page.cursor, name, order));
  }
  const sorted = columns.map((column) => `${column}${descending ? " DESC" : ""}`).join(", ");
  const offset = page.cursor === undefined && skip > 0 ? " OFFSET ?" : "";
  const sql = `SELECT * FROM ${from}${where.sql} ORDER BY ${sorted} LIMIT ?${offset}`;
  const values: SqlValue[] = [...where.values, size + 1];
  if (offset !== "") values.push(Math.trunc(skip));
  const rows = await source.rows(tenant, sql, values);
  const shown = rows.slice(0, size);
  const last = rows.length > size ? shown.at(-1) : undefined;
  return { items: shown.map(read), next: last === undefined ? undefined : writeCursor(last, name, order) };
}

function writeCursor(row: Row, name: string, order: readonly SortColumn[]): string {
  const key = order.map(({ column, kind }) => (kind === "number" ? readNumber(row, column) : readText(row, column)));
  return Buffer.from(JSON.stringify([name, ...key])).toString("base64url");
}

/** Throws invalid_request. What it holds is only ever bound as a value, beside the tenant. */
function readCursor(cursor: string, name: string, order: readonly SortColumn[]): SqlValue[] {
  const values = parseList(Buffer.from(cursor, "base64url").toString());
  const [list, ...key] = values;
  const fits = list === name && key.length === order.length && order.every(({ kind }, index) => isOfKind(key[index], kind));
  if (!fits) throw invalidField("page_token", "is not one of this list; use the next_page_token of its page before, unchanged");
  return key as SqlValue[];
}

function isOfKind(value: unknown, kind: SortColumn["kind"]): boolean {
  return kind === "text" ? typeof value === "string" : Number.isFinite(value);
}

function parseList(text: string): readonly unknown[] {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? value : [];
  } catch {
    return [];
  }
}
