/** Sessions: what the calls of one session id have in common, kept as their log records are written. */
import type { RequestLogRecord, RequestStatus, SessionRecord, SessionStore } from "../core/request-log-store.ts";
import type { Database, Row, SqlValue, Transaction } from "./database.ts";
import { insertRows } from "./insert-rows.ts";
import { readPage } from "./read-page.ts";
import { readBigInt, readNumber, readText } from "./read-value.ts";
import { Where } from "./where.ts";

export function createSessionStore(database: Database): SessionStore {
  return {
    async get(tenant, id) {
      const [row] = await database.rows(tenant, "SELECT * FROM sessions WHERE tenant = ? AND id = ?", [tenant, id]);
      return row === undefined ? undefined : readSession(row);
    },

    list(tenant, { callerAgent, environment, from, until }, page) {
      const where = Where.ofTenant(tenant)
        .equal("caller_agent", callerAgent)
        .equal("environment", environment)
        .from("first_at", from)
        .before("first_at", until);
      const order = [
        { column: "first_at", kind: "number" },
        { column: "id", kind: "text" },
      ] as const;
      return readPage(database, tenant, { name: "sessions", from: "sessions", where, order, descending: true, read: readSession }, page);
    },
  };
}

const columns = [
  "tenant",
  "id",
  "caller_agent",
  "environment",
  "last_status",
  "requests",
  "errors",
  "prompt_tokens",
  "completion_tokens",
  "cost_nano",
  "first_at",
  "last_at",
];

/** Batches of several processes come in any order: the facts of the latest call win. */
const latest = (column: string) =>
  `${column} = CASE WHEN excluded.last_at >= sessions.last_at THEN excluded.${column} ELSE sessions.${column} END`;
const added = (column: string) => `${column} = sessions.${column} + excluded.${column}`;
const merged = [
  ...["caller_agent", "environment", "last_status"].map(latest),
  ...["requests", "errors", "prompt_tokens", "completion_tokens", "cost_nano"].map(added),
  // The time that a list is sorted by stays, so that a session is met once.
  "last_at = CASE WHEN excluded.last_at > sessions.last_at THEN excluded.last_at ELSE sessions.last_at END",
].join(", ");

/** Adds calls that were just logged to their sessions. */
export async function noteSessions(transaction: Transaction, records: readonly RequestLogRecord[]): Promise<void> {
  const groups = new Map<string, RequestLogRecord[]>();
  for (const record of records) {
    if (record.sessionId === "") continue;
    const key = `${record.tenant}\u0000${record.sessionId}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [record]);
    else group.push(record);
  }
  const rows = [...groups.values()].map(valuesOf).sort(byKey);
  for (const { sql, values } of insertRows("sessions", columns, rows, `ON CONFLICT (tenant, id) DO UPDATE SET ${merged}`)) {
    await transaction.run(sql, values);
  }
}

/** Always in the same order: two batches at once wait for each other instead of blocking each other. */
function byKey([tenant, id]: readonly SqlValue[], [otherTenant, otherId]: readonly SqlValue[]): number {
  return `${tenant}\u0000${id}` < `${otherTenant}\u0000${otherId}` ? -1 : 1;
}

function valuesOf(records: readonly RequestLogRecord[]): readonly SqlValue[] {
  const ordered = records.toSorted((left, right) => left.createdAt - right.createdAt);
  const first = ordered[0];
  const last = ordered.at(-1);
  if (first === undefined || last === undefined) return [];
  const { tenant, sessionId, callerAgent, environment, status } = last;
  const errors = ordered.filter((record) => record.status !== "success").length;
  const promptTokens = ordered.reduce((sum, record) => sum + (record.promptTokens ?? 0), 0);
  const completionTokens = ordered.reduce((sum, record) => sum + (record.completionTokens ?? 0), 0);
  const costNano = ordered.reduce((sum, record) => sum + (record.costNano ?? 0n), 0n);
  const times = [Math.round(first.createdAt), Math.round(last.createdAt)];
  return [tenant, sessionId, callerAgent, environment, status, ordered.length, errors, promptTokens, completionTokens, costNano, ...times];
}

function readSession(row: Row): SessionRecord {
  return {
    tenant: readText(row, "tenant"),
    id: readText(row, "id"),
    callerAgent: readText(row, "caller_agent"),
    environment: readText(row, "environment"),
    lastStatus: readText(row, "last_status") as RequestStatus,
    requests: readNumber(row, "requests"),
    errors: readNumber(row, "errors"),
    promptTokens: readBigInt(row, "prompt_tokens"),
    completionTokens: readBigInt(row, "completion_tokens"),
    costNano: readBigInt(row, "cost_nano"),
    firstAt: readNumber(row, "first_at"),
    lastAt: readNumber(row, "last_at"),
  };
}
