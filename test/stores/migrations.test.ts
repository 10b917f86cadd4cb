import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { StartError } from "../../src/core/start-error.ts";
import { allTenants, type Database, type Transaction } from "../../src/stores/database.ts";
import { migrations } from "../../src/stores/migrations/all-migrations.ts";
import { migrate, readSchemaState } from "../../src/stores/migrations/migrate.ts";
import { migrateDatabase, openDatabase, pendingMigrations } from "../../src/stores/open-database.ts";
import { describeEngines, openBareDatabase, openTestDatabase } from "./engines.ts";

const now = () => 1_700_000_000_000;

/** The same database, whose connection is lost before a statement of a transaction: the counter says before which. */
function cutAt(database: Database, statement: number): Database {
  let count = 0;
  return {
    ...database,
    transaction: (tenant, work) =>
      database.transaction(tenant, (transaction) => {
        const cutting: Transaction = {
          run(sql, values) {
            if (++count === statement) throw new Error("cut");
            return transaction.run(sql, values);
          },
        };
        return work(cutting);
      }),
  };
}

describeEngines("migrations", (engine) => {
  test("bring an empty database up to date, and do nothing the second time", async () => {
    const place = await engine.newPlace();
    expect(await pendingMigrations(place)).toHaveLength(migrations.length);
    expect(await migrateDatabase(place, now)).toHaveLength(migrations.length);
    expect(await migrateDatabase(place, now)).toEqual([]);
    expect(await pendingMigrations(place)).toEqual([]);
  });

  test("S9: complete when they run again after a cut at any step", async () => {
    const place = await engine.newPlace();
    const database = openBareDatabase(place);
    let cuts = 0;
    for (let statement = 1; ; statement++) {
      try {
        await migrate(cutAt(database, statement), now);
        break;
      } catch (thrown) {
        expect(thrown).toMatchObject({ message: "cut" });
        cuts++;
      }
    }
    expect(cuts).toBeGreaterThan(migrations.flatMap(({ statements }) => statements).length);
    expect((await readSchemaState(database)).pending).toEqual([]);
    await database.write("acme", [{ sql: "INSERT INTO audit_heads (tenant, sequence, hash) VALUES (?, 1, '')", values: ["acme"] }]);
  }, 60_000);

  test("S9: complete when their program was killed in the middle of them", async () => {
    const place = await engine.newPlace();
    const program = new URL("migrate-and-die.ts", import.meta.url).pathname;
    const most = migrations.flatMap(({ statements }) => statements).length;
    // The first and the last statement, some between them, and then it runs to its end.
    for (const statement of [1, 2, Math.floor(most / 2), most - 1, 4 * most]) {
      const words = [engine.name, place.dataDir, place.databaseUrl?.reveal() ?? "", String(statement)];
      const { signal, status, stderr } = spawnSync(process.execPath, [program, ...words], { encoding: "utf8", timeout: 30_000 });
      expect({ signal, status, stderr }).toMatchObject(statement > most ? { status: 0 } : { signal: "SIGKILL" });
    }
    expect(await pendingMigrations(place)).toEqual([]);
    const database = openBareDatabase(place);
    await database.write("acme", [{ sql: "INSERT INTO audit_heads (tenant, sequence, hash) VALUES (?, 1, '')", values: ["acme"] }]);
  }, 60_000);

  test("apply each step once where several programs start at the same moment", async () => {
    const place = await engine.newPlace();
    const applied = await Promise.all([1, 2, 3, 4].map(() => migrateDatabase(place, now)));
    expect(applied.flat()).toHaveLength(migrations.length);
  });

  test("S9: refuse a database of a newer program, and say what to do", async () => {
    const place = await engine.newPlace();
    const database = await openTestDatabase(place);
    const sql = "INSERT INTO schema_migrations (version, name, applied_at) VALUES (?, ?, ?)";
    await database.write(allTenants, [{ sql, values: [9_000, "from the future", 0] }]);
    for (const open of [() => openDatabase(place, now, true), () => migrateDatabase(place, now), () => pendingMigrations(place)]) {
      const thrown = await open().catch((error: unknown) => error);
      expect(thrown).toBeInstanceOf(StartError);
      expect(thrown).toMatchObject({
        exitCode: 78,
        message: expect.stringMatching(/schema 9000 \(from the future\).*start a newer version/),
      });
    }
  });

  test("refuse a database whose steps are none of ours", async () => {
    const place = await engine.newPlace();
    const database = await openTestDatabase(place);
    await database.write(allTenants, [{ sql: "UPDATE schema_migrations SET name = 'another' WHERE version = 1", values: [] }]);
    await expect(pendingMigrations(place)).rejects.toThrow(/is called "another".*another program/);
  });

  if (engine.name === "postgres") {
    test("are an operator's to run: a gateway does not start on an old schema", async () => {
      const place = await engine.newPlace();
      await expect(openDatabase(place, now, false)).rejects.toThrow(/run `dragoman migrate`/);
      await migrateDatabase(place, now);
      await (await openDatabase(place, now, false)).close();
    });
  }
});

describe("the list of migrations", () => {
  test("counts from 1 without gaps, under names of its own", () => {
    expect(migrations.map(({ version }) => version)).toEqual(migrations.map((_, index) => index + 1));
    expect(new Set(migrations.map(({ name }) => name)).size).toBe(migrations.length);
  });
});
