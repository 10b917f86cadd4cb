/** Log records added up by group, with percentiles of their latency. */
import { type RequestDimension, type RequestSummary, requestStatuses } from "../core/request-log-store.ts";
import type { Database, Row } from "./database.ts";
import { readNumber, readSum, readText } from "./read-value.ts";
import type { Where } from "./where.ts";

/** Most groups of one summary. */
const maxGroups = 10_000;

const dimensions: Readonly<Record<RequestDimension, string>> = {
  callerAgent: "caller_agent",
  environment: "environment",
  upstreamModel: "upstream_model",
  requestedModel: "requested_model",
  provider: "provider",
  surface: "surface",
  keyId: "key_id",
  project: "project",
};

const percentiles = [50, 90, 99] as const;

export async function summariseRequests(
  database: Database,
  tenant: string,
  where: Where,
  by: readonly RequestDimension[],
): Promise<readonly RequestSummary[]> {
  const groups = by.map((dimension) => dimensions[dimension]);
  const partition = groups.length === 0 ? "" : `PARTITION BY ${groups.join(", ")}`;
  const grouped = groups.length === 0 ? "" : `GROUP BY ${groups.join(", ")}`;
  const counts = requestStatuses.map((status) => `sum(CASE WHEN status = '${status}' THEN 1 ELSE 0 END) AS ${status}`);
  // Nearest rank: the smallest latency that so many of 100 records do not exceed. SQLite has no percentile of its own.
  const ranks = percentiles.map((percent) => `max(CASE WHEN place = (total * ${percent} + 99) / 100 THEN latency_ms END) AS p${percent}`);
  const sums = [
    "count(*) AS requests",
    "sum(prompt_tokens) AS prompt_tokens",
    "sum(completion_tokens) AS completion_tokens",
    "sum(cost_nano) AS cost_nano",
    "sum(CASE WHEN cost_nano IS NULL THEN 1 ELSE 0 END) AS unpriced",
    "min(created_at) AS first_at",
    "max(created_at) AS last_at",
  ];
  const sql = `SELECT ${[...groups, ...sums, ...counts, ...ranks].join(", ")} FROM (
      SELECT *, row_number() OVER (${partition} ORDER BY latency_ms, request_id) AS place, count(*) OVER (${partition}) AS total
      FROM request_log${where.sql}) AS ranked
    ${grouped} ORDER BY requests DESC LIMIT ${maxGroups}`;
  const rows = await database.rows(tenant, sql, where.values);
  return rows.filter((row) => readNumber(row, "requests") > 0).map((row) => readSummary(row, by));
}

function readSummary(row: Row, by: readonly RequestDimension[]): RequestSummary {
  const counts = requestStatuses.map((status) => [status, Number(readSum(row, status))] as const);
  return {
    group: Object.fromEntries(by.map((dimension) => [dimension, readText(row, dimensions[dimension])])),
    requests: readNumber(row, "requests"),
    byStatus: Object.fromEntries(counts.filter(([, count]) => count > 0)),
    promptTokens: readSum(row, "prompt_tokens"),
    completionTokens: readSum(row, "completion_tokens"),
    costNano: readSum(row, "cost_nano"),
    unpriced: Number(readSum(row, "unpriced")),
    latencyMs: { p50: readNumber(row, "p50"), p90: readNumber(row, "p90"), p99: readNumber(row, "p99") },
    firstAt: readNumber(row, "first_at"),
    lastAt: readNumber(row, "last_at"),
  };
}
