import { readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import type { GatewayError } from "../../src/core/error.ts";
import { silentLog } from "../../src/core/log.ts";
import { Secret } from "../../src/core/secret.ts";
import { chooseEngine, createStores } from "../../src/stores/create-stores.ts";
import { openSqlite } from "../../src/stores/sqlite/sqlite-database.ts";
import { describeEngines, openTestDatabase, openTestStores, TestClock } from "./engines.ts";
import { keyFor } from "./records.ts";

/** The failure of a call, and how long it took. */
async function failureOf(call: () => Promise<unknown>): Promise<{ error: GatewayError; ms: number }> {
  const began = performance.now();
  try {
    await call();
  } catch (error) {
    return { error: error as GatewayError, ms: performance.now() - began };
  }
  throw new Error("the call succeeded");
}

const options = { migrateOnStart: true, responses: { maxBytes: 1_000, ttlMs: 1_000 }, clock: new TestClock(), log: silentLog };

describeEngines("a database that is away", (engine) => {
  test("keeps its records while it is", async () => {
    const place = await engine.newPlace();
    const stores = await openTestStores(place);
    await stores.keys.create("acme", keyFor("k1"));
    await stores.close();
    await expect(stores.keys.findById("k1")).rejects.toMatchObject({ reason: "store_unavailable", status: 503, retryable: true });
    expect(await stores.isThere()).toBe(false);
    expect(await (await openTestStores(place)).keys.findById("k1")).toBeDefined();
  });

  const server = engine.server;
  if (engine.name === "postgres") {
    test.each(["stopped", "killed"] as const)(
      "S6: %s: every call fails as away, soon, and works when the server is back",
      async (how) => {
        const stores = await openTestStores(await engine.newPlace());
        await stores.keys.create("acme", keyFor("k1"));
        await (how === "stopped" ? server()?.stop() : server()?.kill());
        try {
          const failures = await Promise.all(
            Array.from({ length: 20 }, (_, index) =>
              failureOf(() => (index % 2 ? stores.keys.findById("k1") : stores.keys.create("acme", keyFor(`new${index}`)))),
            ),
          );
          for (const { error, ms } of failures) {
            expect(error).toMatchObject({ reason: "store_unavailable" });
            expect(ms).toBeLessThan(2_500);
            expect(`${error.message} ${JSON.stringify(error.details)} ${String(error.cause)}`).not.toContain("test-of-the-stores");
          }
          expect(await stores.isThere()).toBe(false);
        } finally {
          await server()?.start();
        }
        await expect.poll(() => stores.isThere(), { timeout: 5_000 }).toBe(true);
        expect(await stores.keys.findById("k1")).toBeDefined();
      },
      30_000,
    );

    test("frozen: calls end within the deadline, and a thawed server is used again", async () => {
      const stores = await openTestStores(await engine.newPlace());
      await stores.keys.create("acme", keyFor("k1"));
      server()?.freeze();
      try {
        const { error, ms } = await failureOf(() => stores.keys.findById("k1"));
        expect(error).toMatchObject({ reason: "store_unavailable" });
        expect(ms).toBeLessThan(5_000);
      } finally {
        server()?.thaw();
      }
      await expect.poll(() => stores.isThere(), { timeout: 5_000 }).toBe(true);
      expect(await stores.keys.findById("k1")).toBeDefined();
    }, 30_000);

    test("S7: connections that are cut within statements fail as away, and the next are new", async () => {
      const place = await engine.newPlace();
      const database = await openTestDatabase(place);
      for (let round = 0; round < 3; round++) {
        const failures = Array.from({ length: 6 }, () =>
          failureOf(() =>
            database.transaction("acme", async ({ run }) => {
              await run("SELECT 1 AS one");
              await run("SELECT pg_sleep(1) AS slept");
              return run("SELECT 2 AS two");
            }),
          ),
        );
        const cut = () =>
          server()?.administer(
            place.databaseUrl?.reveal() ?? "",
            (sql) => sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()`,
          );
        await expect.poll(async () => ((await cut()) ?? []).length, { timeout: 5_000 }).toBeGreaterThan(0);
        for (const { error } of await Promise.all(failures)) expect(error).toMatchObject({ reason: "store_unavailable" });
        expect(await database.rows("acme", "SELECT 1 AS one")).toEqual([{ one: 1 }]);
      }
    }, 30_000);

    test("a gateway that starts without it finds it later", async () => {
      const place = await engine.newPlace();
      await server()?.stop();
      const stores = await createStores({ ...place, ...options }).finally(() => server()?.start());
      await expect.poll(() => stores.isThere(), { timeout: 5_000 }).toBe(true);
      await stores.keys.create("acme", keyFor("k1"));
      await stores.close();
    }, 30_000);

    test("a query that takes too long is ended by the server", async () => {
      const database = await openTestDatabase(await engine.newPlace());
      const { error, ms } = await failureOf(() => database.rows("*", "SELECT pg_sleep(30)"));
      expect(error).toMatchObject({ reason: "timeout" });
      expect(ms).toBeLessThan(4_000);
      expect(await database.rows("*", "SELECT 1 AS one")).toEqual([{ one: 1 }]);
    }, 10_000);

    test("S7: transactions that stand in each other's way are repeated", async () => {
      const database = await openTestDatabase(await engine.newPlace());
      const insert = "INSERT INTO versions (kind, value) VALUES (?, 0)";
      await database.write(
        "*",
        ["a", "b"].map((kind) => ({ sql: insert, values: [kind] })),
      );
      const count = "UPDATE versions SET value = value + 1 WHERE kind = ?";
      const cross = (first: string, second: string) =>
        database.transaction("*", async (transaction) => {
          await transaction.run(count, [first]);
          await transaction.run("SELECT pg_sleep(0.05)");
          await transaction.run(count, [second]);
        });
      await Promise.all([cross("a", "b"), cross("b", "a")]);
      const rows = await database.rows("*", "SELECT value FROM versions ORDER BY kind");
      expect(rows.map(({ value }) => Number(value))).toEqual([2, 2]);
    }, 20_000);

    test("an address with a wrong password is away, and says nothing of the password", async () => {
      const { databaseUrl } = await engine.newPlace();
      const wrong = new URL(databaseUrl?.reveal() ?? "");
      wrong.pathname = "/no_such_database";
      wrong.password = "canary-of-the-stores";
      const logged: unknown[] = [];
      const log = { ...silentLog, warn: (...facts: unknown[]) => void logged.push(facts) };
      const stores = await createStores({ engine: "postgres", dataDir: "", databaseUrl: new Secret(wrong.href), ...options, log });
      const { error } = await failureOf(() => stores.keys.version());
      expect(error).toMatchObject({ reason: "store_unavailable" });
      const told = JSON.stringify([logged, String(error.cause), error.details], (_, value: unknown) =>
        value instanceof Error ? [value.message, value.stack, value.cause] : value,
      );
      expect(told).toContain("3D000");
      expect(told).not.toContain("canary");
      await stores.close();
    });
  }

  if (engine.name === "sqlite") {
    test("S3: locked by another process: writes fail as away, reads go on", async () => {
      const place = await engine.newPlace();
      await openTestDatabase(place);
      const file = join(place.dataDir, "dragoman.sqlite");
      const database = openSqlite({ file, busyMs: 100 });
      const other = new DatabaseSync(file);
      other.exec("BEGIN IMMEDIATE");
      const write = () => database.write("*", [{ sql: "INSERT INTO versions (kind, value) VALUES ('k', 1)", values: [] }]);
      expect((await failureOf(write)).error).toMatchObject({ reason: "store_unavailable" });
      expect(await database.rows("*", "SELECT kind FROM versions")).toEqual([]);
      other.exec("ROLLBACK");
      other.close();
      await write();
      await database.close();
    });

    test("S3: more writes than may wait are refused, the others done", async () => {
      const place = await engine.newPlace();
      await openTestDatabase(place);
      const database = openSqlite({ file: join(place.dataDir, "dragoman.sqlite"), maxWaiting: 10 });
      const write = (n: number) => database.write("*", [{ sql: "INSERT INTO versions (kind, value) VALUES (?, 1)", values: [`k${n}`] }]);
      const outcomes = await Promise.allSettled(Array.from({ length: 50 }, (_, n) => write(n)));
      const done = outcomes.filter(({ status }) => status === "fulfilled").length;
      expect(done).toBeGreaterThanOrEqual(10);
      expect(done).toBeLessThan(50);
      expect(await database.rows("*", "SELECT kind FROM versions")).toHaveLength(done);
      await database.close();
    });

    test("a write that fails takes nothing of its neighbours' with it, and nothing of its own stays", async () => {
      const database = await openTestDatabase(await engine.newPlace());
      const insert = (kind: string) => ({ sql: "INSERT INTO versions (kind, value) VALUES (?, 1)", values: [kind] });
      const outcomes = await Promise.allSettled([
        database.write("*", [insert("a")]),
        database.write("*", [insert("b"), insert("a")]),
        database.write("*", [insert("c")]),
        database.write("*", [insert("d"), { sql: "nonsense", values: [] }]),
        database.transaction("*", async (transaction) => {
          await transaction.run(insert("e").sql, ["e"]);
          throw new Error("no");
        }),
        database.write("*", [insert("f")]),
      ]);
      expect(outcomes.map(({ status }) => status === "fulfilled")).toEqual([true, false, true, false, false, true]);
      const rows = await database.rows("*", "SELECT kind FROM versions ORDER BY kind");
      expect(rows.map(({ kind }) => kind)).toEqual(["a", "c", "f"]);
    });

    test("only its owner may read the file; a directory that cannot be had stops the start", async () => {
      const place = await engine.newPlace();
      await openTestDatabase(place);
      expect(statSync(join(place.dataDir, "dragoman.sqlite")).mode & 0o077).toBe(0);
      const blocked = `${place.dataDir}-file`;
      writeFileSync(blocked, "");
      await expect(createStores({ ...place, dataDir: join(blocked, "data"), ...options })).rejects.toMatchObject({
        name: "StartError",
        exitCode: 74,
      });
      rmSync(blocked);
    });

    test("S8: a file that is no database stops the start and is left alone", async () => {
      const place = await engine.newPlace();
      await (await openTestStores(place)).close();
      const file = join(place.dataDir, "dragoman.sqlite");
      for (const name of readdirSync(place.dataDir)) if (name !== "dragoman.sqlite") rmSync(join(place.dataDir, name));
      writeFileSync(file, "this is no database, whatever its name says".repeat(100));
      await expect(createStores({ ...place, ...options })).rejects.toThrow(/dragoman\.sqlite: .*not a database/);
      expect(statSync(file).size).toBe(4_300);
    });

    test("in memory nothing is written, and another process's records are not there", async () => {
      const place = await engine.newPlace();
      const memory = await openTestStores({ ...place, engine: "memory" });
      await memory.keys.create("acme", keyFor("k1"));
      expect(await memory.keys.findById("k1")).toBeDefined();
      expect(() => statSync(place.dataDir)).toThrow(/ENOENT/);
      const settings = { configured: "auto", databaseUrl: undefined, dataDir: place.dataDir } as const;
      expect(chooseEngine(settings)).toBe("memory");
      await openTestDatabase(place);
      expect(chooseEngine(settings)).toBe("sqlite");
      expect(chooseEngine({ ...settings, databaseUrl: new Secret("postgres://x") })).toBe("postgres");
      expect(chooseEngine({ ...settings, configured: "memory" })).toBe("memory");
    });
  }
});
