import type { LoggedRequest, RequestLogStore } from "../core/request-log-store.ts";
import { allTenants, type Database, type Row, type SqlValue, type Transaction } from "./database.ts";
import { insertRows } from "./insert-rows.ts";
import { pruneRequestLog } from "./prune-request-log.ts";
import { readPage } from "./read-page.ts";
import { readNumber, readText } from "./read-value.ts";
import { contentColumns, readContent, readRecord, recordColumns, whereRecords } from "./request-log-columns.ts";
import { summariseRequests } from "./request-summaries.ts";
import { noteSessions } from "./sessions.ts";

const newestFirst = [
  { column: "created_at", kind: "number" },
  { column: "request_id", kind: "text" },
] as const;

export function createRequestLogStore(database: Database): RequestLogStore {
  return {
    async append(requests) {
      const distinct = [...new Map(requests.map((request) => [keyOf(request.record.tenant, request.record.requestId), request])).values()];
      if (distinct.length > 0) await database.transaction(allTenants, (transaction) => insert(transaction, distinct));
    },

    query(tenant, filter, page) {
      const where = whereRecords(tenant, filter);
      const list = {
        name: "requests",
        from: "request_log",
        where,
        order: newestFirst,
        descending: true,
        skip: page.skip,
        read: readRecord,
      };
      return readPage(database, tenant, list, page);
    },

    async count(tenant, filter) {
      const where = whereRecords(tenant, filter);
      const [row] = await database.rows(tenant, `SELECT count(*) AS records FROM request_log${where.sql}`, where.values);
      return row === undefined ? 0 : readNumber(row, "records");
    },

    async get(tenant, requestId) {
      const sql = `SELECT request_log.record, request_contents.content FROM request_log
        LEFT JOIN request_contents ON request_contents.tenant = request_log.tenant AND request_contents.request_id = request_log.request_id
        WHERE request_log.tenant = ? AND request_log.request_id = ?`;
      const [row] = await database.rows(tenant, sql, [tenant, requestId]);
      if (row === undefined) return undefined;
      return { record: readRecord(row), content: row.content === null ? undefined : readContent(row) };
    },

    summarise: (tenant, filter, by) => summariseRequests(database, tenant, whereRecords(tenant, filter), by),
    prune: (tenant, limits) => pruneRequestLog(database, tenant, limits),
  };
}

async function insert(transaction: Transaction, requests: readonly LoggedRequest[]): Promise<void> {
  const rows = requests.map(({ record }) => recordColumns(record));
  const contents = requests.map(contentColumns).filter((columns) => columns !== undefined);
  const written = await insertAll(
    transaction,
    "request_log",
    rows,
    "ON CONFLICT (tenant, request_id) DO NOTHING RETURNING tenant, request_id",
  );
  await insertAll(transaction, "request_contents", contents, "ON CONFLICT (tenant, request_id) DO NOTHING");
  // A batch that comes twice counts once.
  const isNew = new Set(written.map((row) => keyOf(readText(row, "tenant"), readText(row, "request_id"))));
  await noteSessions(
    transaction,
    requests.map(({ record }) => record).filter(({ tenant, requestId }) => isNew.has(keyOf(tenant, requestId))),
  );
}

/** The columns of all rows are those of the first. */
async function insertAll(
  transaction: Transaction,
  table: string,
  rows: readonly Record<string, SqlValue>[],
  tail: string,
): Promise<readonly Row[]> {
  const columns = Object.keys(rows[0] ?? {});
  const written: Row[] = [];
  for (const { sql, values } of insertRows(
    table,
    columns,
    rows.map((row) => Object.values(row)),
    tail,
  )) {
    written.push(...(await transaction.run(sql, values)).rows);
  }
  return written;
}

function keyOf(tenant: string, requestId: string): string {
  return `${tenant}\u0000${requestId}`;
}
