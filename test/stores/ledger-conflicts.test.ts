/** S7: whatever PostgreSQL answers to those who deliver rows, in the end it has each row once. */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { LedgerRow } from "../../src/core/ledger-row.ts";
import { silentLog } from "../../src/core/log.ts";
import { Secret } from "../../src/core/secret.ts";
import { Shipper } from "../../src/ledger/shipper.ts";
import { allTenants } from "../../src/stores/database.ts";
import { createLedgerStore } from "../../src/stores/ledger.ts";
import { migrateDatabase } from "../../src/stores/open-database.ts";
import { openPostgres } from "../../src/stores/postgres/postgres-database.ts";
import { intentOf, settlementOf } from "../ledger/rows.ts";
import { type PostgresServer, startPostgresServer, whyNoPostgres } from "./postgres-server.ts";

const missing = whyNoPostgres();
if (missing !== undefined) process.stdout.write(`skipped: the ledger's conflicts on PostgreSQL: ${missing}\n`);

function rowsOf(count: number): LedgerRow[] {
  return Array.from({ length: count }, () => {
    const intent = intentOf();
    return { ...intent, ...settlementOf(intent.usageId, { costNano: 7n, chargeNano: 7n }) };
  });
}

function shuffled(rows: readonly LedgerRow[], seed: number): LedgerRow[] {
  let state = seed;
  return rows
    .map((row) => {
      state = (state * 48_271) % 2_147_483_647;
      return { row, order: state };
    })
    .sort((left, right) => left.order - right.order)
    .map(({ row }) => row);
}

describe.skipIf(missing !== undefined)("ten processes that deliver", { timeout: 90_000 }, () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await startPostgresServer();
  }, 60_000);
  afterAll(() => server?.remove(), 30_000);

  async function newDatabase(): Promise<Secret> {
    const databaseUrl = new Secret(await server.createDatabase());
    await migrateDatabase({ engine: "postgres", dataDir: "", databaseUrl }, () => 0);
    return databaseUrl;
  }

  /** One process: its pool, and what ships its rows. */
  function startProcess(url: Secret) {
    const database = openPostgres({ url, poolSize: 3 });
    const ledger = createLedgerStore(database);
    const shipper = new Shipper({
      store: ledger,
      batchRows: 50,
      gatherMs: 1,
      maxQueuedRows: 10_000,
      retry: { firstMs: 10, mostMs: 100 },
      onStored: () => undefined,
      log: silentLog,
    });
    let closed: Promise<void> | undefined;
    const close = (): Promise<void> => {
      closed ??= shipper.close(0).then(() => database.close());
      return closed;
    };
    onTestFinished(close);
    return { database, ledger, shipper, close };
  }

  async function expectOnce(url: Secret, rows: readonly LedgerRow[]): Promise<void> {
    const { ledger, database } = startProcess(url);
    const found = await database.rows(allTenants, "SELECT usage_id FROM ledger");
    expect(found).toHaveLength(rows.length);
    expect(new Set(found.map(({ usage_id: id }) => id))).toEqual(new Set(rows.map(({ usageId }) => usageId)));
    const [sum] = await ledger.sum("default", {}, { by: [] });
    expect(sum?.costNano).toBe(7n * BigInt(rows.length));
  }

  /** Each delivers all rows, in an order of its own: they stand in each other's way. */
  async function deliverAll(url: Secret, rows: readonly LedgerRow[]): Promise<void> {
    await Promise.all(
      Array.from({ length: 10 }, async (_, index) => {
        const { shipper, close } = startProcess(url);
        const mine = shuffled(rows, index + 1);
        for (let at = 0; at < mine.length; at += 50) await shipper.deliver(mine.slice(at, at + 50));
        expect(shipper.refused).toBe(0);
        await close();
      }),
    );
  }

  test("S7: the same rows in orders of their own, which deadlocks again and again", async () => {
    const url = await newDatabase();
    await server.administer(url.reveal(), (sql) => sql.unsafe("ALTER SYSTEM SET deadlock_timeout = '20ms'"));
    await server.administer(url.reveal(), (sql) => sql`SELECT pg_reload_conf()`);
    const rows = rowsOf(200);
    await deliverAll(url, rows);
    await expectOnce(url, rows);
  });

  test("S7: where every transaction must be serializable, and many are refused", async () => {
    const url = await newDatabase();
    const name = new URL(url.reveal()).pathname.slice(1);
    await server.administer(url.reveal(), (sql) =>
      sql.unsafe(`ALTER DATABASE "${name}" SET default_transaction_isolation = 'serializable'`),
    );
    const rows = rowsOf(100);
    await deliverAll(url, rows);
    await expectOnce(url, rows);
  });

  test("S7: where the server takes three connections only", async () => {
    const url = await newDatabase();
    const name = new URL(url.reveal()).pathname.slice(1);
    await server.administer(url.reveal(), (sql) => sql.unsafe(`ALTER DATABASE "${name}" CONNECTION LIMIT 3`));
    const rows = rowsOf(100);
    await deliverAll(url, rows);
    await expectOnce(url, rows);
  });

  test("S7: connections that are cut in the middle of batches", async () => {
    const url = await newDatabase();
    const rows: LedgerRow[] = [];
    const { shipper } = startProcess(url);
    let cuts = 0;
    let over = false;
    const cutting = server.administer(url.reveal(), async (sql) => {
      for (; !over; await new Promise((resolve) => setTimeout(resolve, 5))) {
        const cut = await sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE datname = current_database() AND application_name = 'dragoman'`;
        cuts += cut.length;
        // Time to get something done between two cuts.
        if (cut.length > 0) await new Promise((resolve) => setTimeout(resolve, 50));
      }
    });
    while (cuts < 20) {
      const batch = rowsOf(50);
      rows.push(...batch);
      await shipper.deliver(batch);
    }
    over = true;
    await cutting;
    expect(shipper.refused).toBe(0);
    await expectOnce(url, rows);
  });
});
