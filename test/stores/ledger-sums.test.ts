/** What UsageService adds up is the sum of the rows, whatever it is added up by, in both engines and found by index. */
import { inspect } from "node:util";
import { expect, test } from "vitest";
import type { LedgerRow } from "../../src/core/ledger-row.ts";
import type { LedgerDimension, LedgerFilter } from "../../src/core/ledger-store.ts";
import { createLedgerStore } from "../../src/stores/ledger.ts";
import { intentOf, settlementOf, usageOf } from "../ledger/rows.ts";
import { describeEngines, openTestDatabase } from "./engines.ts";

const begin = Date.UTC(2026, 8, 1);
const hourMs = 3_600_000;
const count = 2_000;

const dimensions: readonly LedgerDimension[] = [
  "project",
  "principal",
  "endUser",
  "requestedModel",
  "upstreamModel",
  "provider",
  "route",
  "surface",
  "operation",
  "outcome",
];

/** Every value occurs with every other one now and then; some rows have no price, some no usage, some are released. */
function rowOf(index: number): LedgerRow {
  const of = (name: string, kinds: number) => `${name}-${index % kinds}`;
  const intent = intentOf({
    tenant: index % 17 === 0 ? "other" : "acme",
    // Two rows in three are calls of their own.
    requestId: `request-${Math.floor((index * 2) / 3)}`,
    project: of("project", 2),
    principal: of("key", 3),
    endUser: of("user", 5),
    requestedModel: of("name", 7),
    upstreamModel: of("model", 4),
    provider: of("provider", 3),
    route: index % 2 === 0 ? "" : "route",
    surface: of("surface", 2),
    operation: of("operation", 2),
    startedAt: begin + index * 61_000,
  });
  const isPriced = index % 11 !== 0;
  const isBilled = index % 13 !== 0;
  const cost = isBilled ? (isPriced ? BigInt(index) * 1_000_000_007n : undefined) : 0n;
  const settlement = settlementOf(intent.usageId, {
    state: index % 19 === 0 ? "released" : "settled",
    outcome: index % 6 === 0 ? "provider_error" : "success",
    status: index % 6 === 0 ? "error" : "success",
    usage: isBilled ? usageOf(index, 2 * index) : undefined,
    costNano: cost,
    chargeNano: index % 6 === 0 ? 0n : cost,
  });
  return { ...intent, ...settlement };
}

const rows = Array.from({ length: count }, (_, index) => rowOf(index));

function addUp(some: readonly LedgerRow[]) {
  const total = (pick: (row: LedgerRow) => bigint | number | undefined) => some.reduce((sum, row) => sum + BigInt(pick(row) ?? 0), 0n);
  return {
    attempts: some.length,
    calls: new Set(some.map(({ requestId }) => requestId)).size,
    errors: some.filter(({ status }) => status !== "success").length,
    unpriced: some.filter(({ usage, costNano }) => usage !== undefined && costNano === undefined).length,
    inputTokens: total(({ usage }) => usage?.inputTokens),
    outputTokens: total(({ usage }) => usage?.outputTokens),
    costNano: total(({ costNano }) => costNano),
    chargeNano: total(({ chargeNano }) => chargeNano),
  };
}

describeEngines("sums of the ledger", (engine) => {
  test("are those of the rows, by each dimension, by day and key, within a span, and one tenant's alone", async () => {
    const store = createLedgerStore(await openTestDatabase(await engine.newPlace()));
    for (let at = 0; at < count; at += 500) await store.append(rows.slice(at, at + 500));
    const mine = rows.filter(({ tenant, state }) => tenant === "acme" && state === "settled");

    const [all] = await store.sum("acme", {}, { by: [] });
    expect(all).toMatchObject(addUp(mine));
    expect(await store.spent("acme", {})).toBe(addUp(mine).costNano);
    expect(await store.spent("acme", { principal: "key-1", from: begin + 5 * hourMs })).toBe(
      addUp(mine.filter(({ principal, startedAt }) => principal === "key-1" && startedAt >= begin + 5 * hourMs)).costNano,
    );
    expect(await store.spent("acme", { endUser: "nobody" })).toBe(0n);
    for (const dimension of dimensions) {
      const groups = Map.groupBy(mine, (row) => row[dimension]);
      const sums = await store.sum("acme", {}, { by: [dimension] });
      expect(sums, dimension).toHaveLength(groups.size);
      for (const sum of sums) expect(sum, dimension).toMatchObject(addUp(groups.get(sum.group[dimension] ?? "?") ?? []));
    }

    const dayMs = 24 * hourMs;
    // Bounds that are no days' own: the first and the last are parts of a day.
    const span: LedgerFilter = { from: begin + 5 * hourMs, until: begin + 29 * hourMs, provider: "provider-1" };
    const within = mine.filter(
      (row) => row.startedAt >= begin + 5 * hourMs && row.startedAt < begin + 29 * hourMs && row.provider === "provider-1",
    );
    const groups = Map.groupBy(within, ({ startedAt, principal }) => `${Math.floor(startedAt / dayMs) * dayMs} ${principal}`);
    const sums = await store.sum("acme", span, { by: ["principal"], bucketMs: dayMs });
    expect(sums).toHaveLength(groups.size);
    for (const sum of sums) expect(sum).toMatchObject(addUp(groups.get(`${sum.bucket} ${sum.group.principal}`) ?? []));
    expect(sums.map(({ bucket }) => bucket)).toEqual(sums.map(({ bucket }) => bucket).toSorted());
  });

  test("a day of a long time, and pages of rows for pricing them again, are found by index", async () => {
    const database = await openTestDatabase(await engine.newPlace());
    const plans: string[] = [];
    const words = engine.name === "sqlite" ? "EXPLAIN QUERY PLAN" : "EXPLAIN";
    const store = createLedgerStore({
      ...database,
      async rows(tenant, sql, values = []) {
        const plan = await database.rows(tenant, `${words} ${sql}`, values);
        plans.push(inspect(plan, { breakLength: Number.POSITIVE_INFINITY }));
        return database.rows(tenant, sql, values);
      },
    });
    for (let at = 0; at < count; at += 500) await store.append(rows.slice(at, at + 500));
    await database.write("*", [{ sql: "ANALYZE", values: [] }]);
    const day = { from: begin + 20 * hourMs, until: begin + 21 * hourMs };
    await store.sum("acme", day, { by: ["upstreamModel"] });
    let cursor: string | undefined;
    const seen: string[] = [];
    do {
      const page = await store.scan("acme", { ...day, state: "settled" }, { size: 10, cursor });
      seen.push(...page.items.map(({ usageId }) => usageId));
      cursor = page.next;
    } while (cursor !== undefined);
    expect(seen).toEqual(
      rows
        .filter(
          ({ tenant, state, startedAt }) => tenant === "acme" && state === "settled" && startedAt >= day.from && startedAt < day.until,
        )
        .map(({ usageId }) => usageId),
    );
    expect(plans.length).toBeGreaterThan(3);
    for (const plan of plans) {
      expect(plan).toContain("ledger_by_time");
      expect(plan).not.toMatch(/Seq Scan/);
    }
  });

  test("what one of many keys or end users spent in a long time is found by index", async () => {
    const database = await openTestDatabase(await engine.newPlace());
    const plans: string[] = [];
    const words = engine.name === "sqlite" ? "EXPLAIN QUERY PLAN" : "EXPLAIN";
    const store = createLedgerStore({
      ...database,
      async rows(tenant, sql, values = []) {
        plans.push(inspect(await database.rows(tenant, `${words} ${sql}`, values), { breakLength: Number.POSITIVE_INFINITY }));
        return database.rows(tenant, sql, values);
      },
    });
    const many = rows.map((row, index) => ({ ...row, tenant: "acme", principal: `key-${index % 200}`, endUser: `user-${index % 200}` }));
    for (let at = 0; at < count; at += 500) await store.append(many.slice(at, at + 500));
    await database.write("*", [{ sql: "ANALYZE", values: [] }]);
    await store.spent("acme", { principal: "key-7", from: begin });
    await store.spent("acme", { endUser: "user-7", from: begin });
    expect(plans).toEqual([expect.stringContaining("ledger_by_principal"), expect.stringContaining("ledger_by_end_user")]);
  });
});
