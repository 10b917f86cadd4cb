import fc from "fast-check";
import { expect, test } from "vitest";
import type { Stores } from "../../src/core/stores.ts";
import { describeEngines, openTestDatabase, openTestStores } from "./engines.ts";
import { auditEntry, keyFor, ledgerRow, logged } from "./records.ts";

/** What one tenant does to one of few things, so that ids of both tenants meet; all that it gets back. */
const operations: Readonly<Record<string, (stores: Stores, tenant: string, n: number) => Promise<unknown>>> = {
  makeProject: ({ projects }, tenant, n) => projects.create(tenant, `p${n}`, { name: `of ${tenant}`, enabled: true, settingsJson: "{}" }),
  changeProject: ({ projects }, tenant, n) => projects.update(tenant, `p${n}`, { name: `changed by ${tenant}` }),
  listProjects: ({ projects }, tenant) => projects.list(tenant, { size: 50 }),
  makeKey: ({ keys }, tenant, n) => keys.create(tenant, keyFor(`${tenant}-${n}`, { name: `of ${tenant}` })),
  takeKey: ({ keys }, tenant, n) => keys.update(tenant, `${tenant === "okapi" ? "zebra" : "okapi"}-${n}`, { name: `stolen by ${tenant}` }),
  readKey: ({ keys }, tenant, n) => keys.get(tenant, `${tenant === "okapi" ? "zebra" : "okapi"}-${n}`),
  listKeys: ({ keys }, tenant) => keys.list(tenant, { search: "%" }, { size: 50 }),
  makeRule: ({ limitRules }, tenant, n) =>
    limitRules.create(tenant, { id: `r${n}`, subjectKind: "key", subjectId: "", settingsJson: `{"of":"${tenant}"}`, enabled: true }),
  removeRule: ({ limitRules }, tenant, n) => limitRules.delete(tenant, `r${n}`),
  listRules: ({ limitRules }, tenant) => limitRules.list(tenant, {}, { size: 50 }),
  bill: ({ ledger }, tenant, n) => ledger.append([ledgerRow({ tenant, usageId: `u${n}`, principal: `of ${tenant}` })]),
  readBill: ({ ledger }, tenant, n) => ledger.get(tenant, `u${n}`),
  listBills: ({ ledger }, tenant) => ledger.list(tenant, {}, { size: 50 }),
  sumBills: ({ ledger }, tenant) => ledger.sum(tenant, {}, { by: ["principal"] }),
  rerate: ({ ledger }, tenant, n) =>
    ledger.rerate(tenant, [{ usageId: `u${n}`, costNano: 1n, chargeNano: 1n, pricingVersion: `of ${tenant}` }]),
  log: ({ requestLog }, tenant, n) =>
    requestLog.append([logged({ tenant, requestId: `q${n}`, sessionId: `s${n}`, callerAgent: `of ${tenant}` }, { requestBody: tenant })]),
  readLog: ({ requestLog }, tenant, n) => requestLog.get(tenant, `q${n}`),
  queryLog: ({ requestLog }, tenant) => requestLog.query(tenant, {}, { size: 50 }),
  summarise: ({ requestLog }, tenant) => requestLog.summarise(tenant, {}, ["callerAgent"]),
  pruneLog: ({ requestLog }, tenant, n) => requestLog.prune(tenant, { maxRecords: n }),
  listSessions: ({ sessions }, tenant) => sessions.list(tenant, {}, { size: 50 }),
  register: ({ callerAgents }, tenant, n) =>
    callerAgents.register(tenant, { key: `a${n}`, description: `of ${tenant}`, model: "", environment: "", discovered: true }, 5),
  listAgents: ({ callerAgents }, tenant) => callerAgents.list(tenant, { size: 50 }),
  audit: ({ audit }, tenant) => audit.append(tenant, auditEntry({ actor: `of ${tenant}` })),
  listAudit: ({ audit }, tenant) => audit.list(tenant, {}, { size: 50 }),
  begin: ({ idempotency }, tenant, n) =>
    idempotency.begin(tenant, { scope: "s", key: `i${n}` }, { bodyHash: tenant, now: 0, runsUntil: 9, keptUntil: 9 }),
  answer: ({ responses }, tenant, n) =>
    responses.put({ id: `resp_${n}`, tenant, owner: "me", createdAt: 0, messages: [], responseJson: `"${tenant}"`, inputItemsJson: [] }),
  readAnswer: ({ responses }, tenant, n) => responses.get(tenant, "me", `resp_${n}`),
  removeAnswer: ({ responses }, tenant, n) => responses.delete(tenant, "me", `resp_${n}`),
};

const steps = fc.array(
  fc.record({ operation: fc.constantFrom(...Object.keys(operations)), tenant: fc.constantFrom("okapi", "zebra"), n: fc.nat(4) }),
  { minLength: 60, maxLength: 60 },
);

/** What one tenant got, in order; ids and tokens that are random left out. */
async function play(
  stores: Stores,
  script: readonly { operation: string; tenant: string; n: number }[],
  only?: string,
): Promise<Record<string, string[]>> {
  const got: Record<string, string[]> = { okapi: [], zebra: [] };
  for (const { operation, tenant, n } of script) {
    if (only !== undefined && tenant !== only) continue;
    const result = await operations[operation]?.(stores, tenant, n).catch((thrown: { reason?: string }) => thrown.reason);
    const text = JSON.stringify(result, (key, value: unknown) => {
      if (key === "token" || key === "version" || (key === "id" && String(value).length === 26)) return undefined;
      return typeof value === "bigint" ? `${value}n` : value;
    });
    got[tenant]?.push(`${operation}: ${text}`);
  }
  return got;
}

describeEngines("two tenants", (engine) => {
  test("get the same answers as if the other were not there, and never its name", async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (script) => {
        const [together, apart] = [await openTestStores(await engine.newPlace()), await openTestStores(await engine.newPlace())];
        const got = await play(together, script);
        const alone = await play(apart, script, "okapi");
        expect(got.okapi).toEqual(alone.okapi);
        expect(got.okapi?.filter((line) => line.includes("zebra"))).toEqual([]);
        expect(got.zebra?.filter((line) => line.includes("okapi"))).toEqual([]);
        await Promise.all([together.close(), apart.close()]);
      }),
      { numRuns: 5, endOnFailure: true },
    );
  }, 60_000);

  if (engine.name === "postgres") {
    test("are kept apart by the database where a statement forgets to", async () => {
      const place = await engine.newPlace();
      const stores = await openTestStores(place);
      for (const tenant of ["okapi", "zebra"]) {
        await stores.audit.append(tenant, auditEntry());
        for (const operation of ["makeProject", "makeKey", "makeRule", "bill", "log", "register", "begin", "answer"]) {
          await operations[operation]?.(stores, tenant, 1);
        }
        await stores.tenants.create(tenant, { name: tenant, timeZone: "UTC", enabled: true, settingsJson: "{}" });
        await stores.prices.create(tenant, {
          id: "p1",
          provider: "sim",
          modelPattern: "*",
          tiers: [],
          effectiveFrom: 0,
          effectiveUntil: undefined,
          source: "",
        });
      }
      const database = await openTestDatabase(place);
      const named = await database.rows(
        "*",
        "SELECT table_name FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'tenant'",
      );
      const tables = named.map((row) => String(row.table_name));
      expect(tables.length).toBeGreaterThanOrEqual(14);
      for (const table of tables) {
        const seen = await database.rows("okapi", `SELECT DISTINCT tenant FROM ${table}`);
        expect([table, seen]).toEqual([table, [{ tenant: "okapi" }]]);
        expect(await database.rows("", `SELECT tenant FROM ${table}`)).toEqual([]);
        expect((await database.rows("*", `SELECT DISTINCT tenant FROM ${table}`)).length).toBe(2);
      }
      const theft = { sql: "UPDATE projects SET name = 'x' WHERE tenant = 'zebra'", values: [] };
      expect((await database.write("okapi", [theft]))[0]?.changed).toBe(0);
      await expect(
        database.write("okapi", [{ sql: "INSERT INTO audit_heads (tenant, sequence, hash) VALUES ('green', 1, '')", values: [] }]),
      ).rejects.toThrow();
    });
  }
});
