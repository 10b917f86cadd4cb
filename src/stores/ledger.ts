import type { LedgerRow } from "../core/ledger-row.ts";
import type { LedgerAppendResult, LedgerDimension, LedgerFilter, LedgerStore, LedgerSum } from "../core/ledger-store.ts";
import { allTenants, type Database, type Row } from "./database.ts";
import { insertRows } from "./insert-rows.ts";
import { intentColumns, outcomeColumns, readLedgerRow, rowOfIntent, stages } from "./ledger-columns.ts";
import { readPage } from "./read-page.ts";
import { readNumber, readSum, readText } from "./read-value.ts";
import { Where } from "./where.ts";

/** Most groups of one sum. */
const maxGroups = 10_000;

const byTime = [
  { column: "started_at", kind: "number" },
  { column: "usage_id", kind: "text" },
] as const;

const dimensions: Readonly<Record<LedgerDimension, string>> = {
  project: "project",
  principal: "principal",
  endUser: "end_user",
  requestedModel: "requested_model",
  upstreamModel: "upstream_model",
  provider: "provider",
  route: "route",
  surface: "surface",
  operation: "operation",
  outcome: "outcome",
};

export function createLedgerStore(database: Database): LedgerStore {
  return {
    append,
    open: (intents) => append(intents.map(rowOfIntent)),

    async settle(tenant, settlement) {
      const columns = outcomeColumns(settlement);
      const set = Object.keys(columns).map((column) => `${column} = ?`);
      const update = {
        sql: `UPDATE ledger SET ${set.join(", ")}, writes = writes + 1 WHERE tenant = ? AND usage_id = ? AND stage < 2`,
        values: [...Object.values(columns), tenant, settlement.usageId],
      };
      const look = { sql: "SELECT stage FROM ledger WHERE tenant = ? AND usage_id = ?", values: [tenant, settlement.usageId] };
      const [updated, found] = await database.write(tenant, [update, look]);
      if (updated?.changed === 1) return "settled";
      return found?.rows.length === 1 ? "repeated" : "absent";
    },

    async get(tenant, usageId) {
      const [row] = await database.rows(tenant, "SELECT * FROM ledger WHERE tenant = ? AND usage_id = ?", [tenant, usageId]);
      return row === undefined ? undefined : readLedgerRow(row);
    },

    list(tenant, filter, page) {
      const list = { from: "ledger", where: whereOf(tenant, filter), order: byTime, read: readLedgerRow };
      return readPage(database, tenant, { ...list, name: "ledger", descending: true }, page);
    },

    scan(tenant, filter, page) {
      const list = { from: "ledger", where: whereOf(tenant, filter), order: byTime, read: readLedgerRow };
      return readPage(database, tenant, { ...list, name: "ledger, oldest first", descending: false }, page);
    },

    openRows(epoch, page) {
      const where = new Where().and("stage < 2").equal("epoch", epoch);
      const list = { name: "open rows", from: "ledger", where, order: byTime, descending: false, read: readLedgerRow };
      return readPage(database, allTenants, list, page);
    },

    async sum(tenant, filter, { by, bucketMs }) {
      const where = whereOf(tenant, filter).and("state = 'settled'");
      const groups = by.map((dimension) => dimensions[dimension]);
      // A whole number of our own: as a value it would not be the same expression twice.
      const span = bucketMs === undefined ? undefined : Math.max(1, Math.trunc(bucketMs));
      if (span !== undefined) groups.push(`(started_at / ${span}) * ${span} AS bucket`);
      const positions = groups.map((_, index) => index + 1).join(", ");
      const sql = `SELECT ${[...groups, sums].join(", ")} FROM ledger${where.sql}
        ${positions === "" ? "" : `GROUP BY ${positions}`} ORDER BY ${span === undefined ? "" : "bucket, "}charge DESC, attempts DESC LIMIT ?`;
      const rows = await database.rows(tenant, sql, [...where.values, maxGroups]);
      return rows.map((row) => readLedgerSum(row, by, span !== undefined)).filter(({ attempts }) => attempts > 0);
    },

    async spent(tenant, filter) {
      const where = whereOf(tenant, filter).and("state = 'settled'");
      const [row] = await database.rows(tenant, `SELECT sum(cost_nano) AS cost FROM ledger${where.sql}`, where.values);
      return row === undefined ? 0n : readSum(row, "cost");
    },

    async rerate(tenant, prices) {
      const sql = `UPDATE ledger SET cost_nano = ?, charge_nano = ?, pricing_version = ?
        WHERE tenant = ? AND usage_id = ? AND state = 'settled'`;
      const outcomes = await database.write(
        tenant,
        prices.map(({ usageId, costNano, chargeNano, pricingVersion }) => ({
          sql,
          values: [costNano ?? null, chargeNano ?? null, pricingVersion, tenant, usageId],
        })),
      );
      return outcomes.reduce((sum, { changed }) => sum + changed, 0);
    },
  };

  async function append(rows: readonly LedgerRow[]): Promise<LedgerAppendResult> {
    const furthest = furthestOf(rows);
    const [first] = furthest;
    if (first === undefined) return { inserted: 0, advanced: 0, repeated: 0 };
    const changing = Object.keys(outcomeColumns(first)).map((column) => `${column} = excluded.${column}`);
    // What stands as far already is left alone: a batch may come twice, and late.
    const tail = `ON CONFLICT (tenant, usage_id) DO UPDATE SET ${changing.join(", ")}, writes = ledger.writes + 1
      WHERE ledger.stage < excluded.stage RETURNING writes`;
    const values = furthest.map((row) => [...Object.values(intentColumns(row)), ...Object.values(outcomeColumns(row)), 1]);
    const columns = [...Object.keys(intentColumns(first)), ...Object.keys(outcomeColumns(first)), "writes"];
    const outcomes = await database.write(allTenants, insertRows("ledger", columns, values, tail));
    const written = outcomes.flatMap((outcome) => outcome.rows);
    const inserted = written.filter((row) => readNumber(row, "writes") === 1).length;
    return { inserted, advanced: written.length - inserted, repeated: rows.length - written.length };
  }
}

/** One row for each id: one statement cannot write a row twice. */
function furthestOf(rows: readonly LedgerRow[]): readonly LedgerRow[] {
  const byId = new Map<string, LedgerRow>();
  for (const row of rows) {
    const key = `${row.tenant}\u0000${row.usageId}`;
    const before = byId.get(key);
    if (before === undefined || stages[before.state] < stages[row.state]) byId.set(key, row);
  }
  return [...byId.values()];
}

function whereOf(tenant: string, filter: LedgerFilter): Where {
  return Where.ofTenant(tenant)
    .equal("project", filter.project)
    .equal("principal", filter.principal)
    .equal("end_user", filter.endUser)
    .equal("request_id", filter.requestId)
    .equal("requested_model", filter.requestedModel)
    .equal("upstream_model", filter.upstreamModel)
    .equal("provider", filter.provider)
    .equal("route", filter.route)
    .equal("state", filter.state)
    .from("started_at", filter.from)
    .before("started_at", filter.until);
}

const sums = `count(*) AS attempts, count(DISTINCT request_id) AS calls,
  sum(CASE WHEN status = 'success' THEN 0 ELSE 1 END) AS errors,
  sum(CASE WHEN cost_nano IS NULL AND usage IS NOT NULL THEN 1 ELSE 0 END) AS unpriced,
  sum(CASE WHEN basis = 'ESTIMATED' THEN 1 ELSE 0 END) AS estimated,
  sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens, sum(cache_read_tokens) AS cache_read_tokens,
  sum(cache_write_tokens) AS cache_write_tokens, sum(reasoning_tokens) AS reasoning_tokens,
  sum(cost_nano) AS cost, coalesce(sum(charge_nano), 0) AS charge`;

function readLedgerSum(row: Row, by: readonly LedgerDimension[], timed: boolean): LedgerSum {
  return {
    group: Object.fromEntries(by.map((dimension) => [dimension, readText(row, dimensions[dimension])])),
    bucket: timed ? readNumber(row, "bucket") : undefined,
    attempts: readNumber(row, "attempts"),
    calls: readNumber(row, "calls"),
    errors: Number(readSum(row, "errors")),
    unpriced: Number(readSum(row, "unpriced")),
    estimated: Number(readSum(row, "estimated")),
    inputTokens: readSum(row, "input_tokens"),
    outputTokens: readSum(row, "output_tokens"),
    cacheReadTokens: readSum(row, "cache_read_tokens"),
    cacheWriteTokens: readSum(row, "cache_write_tokens"),
    reasoningTokens: readSum(row, "reasoning_tokens"),
    costNano: readSum(row, "cost"),
    chargeNano: readSum(row, "charge"),
  };
}
