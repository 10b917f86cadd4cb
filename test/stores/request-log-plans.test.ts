/** Questions that people ask of a large request log are answered by an index, in both engines. */
import { inspect } from "node:util";
import { expect, test } from "vitest";
import type { RequestLogFilter } from "../../src/core/request-log-store.ts";
import type { Database, SqlValue, TenantScope } from "../../src/stores/database.ts";
import { createRequestLogStore } from "../../src/stores/request-log.ts";
import { describeEngines, openTestDatabase } from "./engines.ts";
import { logged, someTime } from "./records.ts";

const records = 3_000;

const questions: readonly [index: string, filter: RequestLogFilter][] = [
  ["request_log_by_", {}],
  ["request_log_by_", { from: someTime, until: someTime + 100 }],
  ["request_log_by_agent", { callerAgent: "agent-1" }],
  ["request_log_by_session", { sessionId: "session-1" }],
  ["request_log_by_key", { keyId: "key-1" }],
  ["request_log_by_end_user", { endUser: "user-1" }],
  ["request_log_by_external_id", { externalRequestId: "external-1" }],
];

describeEngines("a large request log", (engine) => {
  test("finds what it is asked for by index", async () => {
    const database = await openTestDatabase(await engine.newPlace());
    const asked: { tenant: TenantScope; sql: string; values: readonly SqlValue[] }[] = [];
    const spy: Database = {
      engine: database.engine,
      rows(tenant, sql, values = []) {
        asked.push({ tenant, sql, values });
        return database.rows(tenant, sql, values);
      },
      write: (tenant, statements) => database.write(tenant, statements),
      transaction: (tenant, work) => database.transaction(tenant, work),
      close: () => database.close(),
    };
    const store = createRequestLogStore(spy);
    for (let first = 0; first < records; first += 500) {
      await store.append(Array.from({ length: 500 }, (_, index) => recordOf(first + index)));
    }
    await database.write("acme", [{ sql: "ANALYZE", values: [] }]);
    for (const [index, filter] of questions) {
      asked.length = 0;
      const page = await store.query("acme", filter, { size: 2 });
      expect(page.items).toHaveLength(2);
      await store.query("acme", filter, { size: 2, cursor: page.next });
      expect(asked).toHaveLength(2);
      for (const { tenant, sql, values } of asked) {
        const words = engine.name === "sqlite" ? "EXPLAIN QUERY PLAN" : "EXPLAIN";
        const plan = inspect(await database.rows(tenant, `${words} ${sql}`, values), { breakLength: Number.POSITIVE_INFINITY });
        expect(plan, JSON.stringify(filter)).toContain(index);
        expect(plan, JSON.stringify(filter)).not.toMatch(/TEMP B-TREE FOR ORDER BY|Seq Scan/);
      }
    }
  });

  test.runIf(engine.name === "sqlite")("is measured without its records", async () => {
    const database = await openTestDatabase(await engine.newPlace());
    const plans: string[] = [];
    const store = createRequestLogStore({
      ...database,
      async rows(tenant, sql, values = []) {
        plans.push(inspect(await database.rows(tenant, `EXPLAIN QUERY PLAN ${sql}`, values)));
        return database.rows(tenant, sql, values);
      },
    });
    await store.append([recordOf(1)]);
    for (const tenant of [undefined, "acme"]) {
      plans.length = 0;
      await store.prune(tenant, { maxBytes: 1_000_000 });
      expect(plans).toEqual([
        expect.stringContaining("COVERING INDEX request_log_by_size"),
        expect.stringContaining("COVERING INDEX request_contents_by_size"),
      ]);
    }
  });

  test("gives every record once, page by page, while others are written", async () => {
    const store = createRequestLogStore(await openTestDatabase(await engine.newPlace()));
    // Many of one time: the order within it must hold too.
    const old = Array.from({ length: 500 }, (_, index) => recordOf(index, someTime + Math.floor(index / 50)));
    await store.append(old);
    const seen: string[] = [];
    let cursor: string | undefined;
    let written = records;
    do {
      const page = await store.query("acme", {}, { size: 33, cursor });
      seen.push(...page.items.map(({ requestId }) => requestId));
      cursor = page.next;
      await store.append([recordOf(written++, someTime + 10_000)]);
    } while (cursor !== undefined);
    expect(seen).toEqual(old.map(({ record }) => record.requestId).toReversed());
  });
});

function recordOf(number: number, createdAt = someTime + number) {
  return logged({
    requestId: `request-${String(number).padStart(6, "0")}`,
    createdAt,
    callerAgent: `agent-${number % 50}`,
    sessionId: `session-${number % 200}`,
    keyId: `key-${number % 100}`,
    endUser: `user-${number % 300}`,
    externalRequestId: `external-${number % 600}`,
  });
}
