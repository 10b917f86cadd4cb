/** Both engines for one suite: stores and databases that are made anew for each test and closed with it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, onTestFinished } from "vitest";
import type { Clock } from "../../src/core/clock.ts";
import { Secret } from "../../src/core/secret.ts";
import type { Stores } from "../../src/core/stores.ts";
import { createStores } from "../../src/stores/create-stores.ts";
import type { Database } from "../../src/stores/database.ts";
import { type DatabasePlace, migrateDatabase } from "../../src/stores/open-database.ts";
import { openPostgres } from "../../src/stores/postgres/postgres-database.ts";
import { openSqlite } from "../../src/stores/sqlite/sqlite-database.ts";
import { type PostgresServer, startPostgresServer, whyNoPostgres } from "./postgres-server.ts";

export interface Engine {
  readonly name: "sqlite" | "postgres";
  /** An empty place for one test. */
  newPlace(): Promise<DatabasePlace>;
  /** Undefined with SQLite. */
  server(): PostgresServer | undefined;
}

/** Time that stands still unless a test moves it. */
export class TestClock implements Clock {
  time = 1_700_000_000_000;

  now(): number {
    return this.time;
  }

  wall(): number {
    return this.time;
  }
}

const silent = () => undefined;
const quiet = { debug: silent, info: silent, warn: silent, error: silent };

/** The suite runs once on each engine; without a PostgreSQL to start it says so and runs on SQLite alone. */
export function describeEngines(name: string, suite: (engine: Engine) => void): void {
  describe(`${name}: sqlite`, () => suite({ name: "sqlite", newPlace: async () => sqlitePlace(), server: () => undefined }));

  const missing = whyNoPostgres();
  if (missing !== undefined) process.stdout.write(`skipped on PostgreSQL: ${name}: ${missing}\n`);
  describe.skipIf(missing !== undefined)(`${name}: postgres`, () => {
    let server: PostgresServer | undefined;
    beforeAll(async () => {
      server = await startPostgresServer();
    }, 60_000);
    afterAll(() => server?.remove(), 30_000);
    suite({
      name: "postgres",
      async newPlace() {
        if (server === undefined) throw new Error("the server did not start");
        return { engine: "postgres", dataDir: "", databaseUrl: new Secret(await server.createDatabase()) };
      },
      server: () => server,
    });
  });
}

function sqlitePlace(): DatabasePlace {
  const dataDir = mkdtempSync(join(tmpdir(), "dragoman-stores-"));
  onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }));
  return { engine: "sqlite", dataDir: join(dataDir, "data"), databaseUrl: undefined };
}

/** All stores on a place, closed when the test is over. */
export async function openTestStores(place: DatabasePlace, clock: Clock = new TestClock()): Promise<Stores> {
  const responses = { maxBytes: 1 << 20, ttlMs: 60_000 };
  const idempotency = { maxBytes: 100_000, maxKeys: 1_000 };
  const stores = await createStores({ ...place, migrateOnStart: true, responses, idempotency, clock, log: quiet });
  onTestFinished(() => stores.close());
  return stores;
}

/** The bare database of a place, with its schema. */
export async function openTestDatabase(place: DatabasePlace): Promise<Database> {
  await migrateDatabase(place, () => 0);
  return openBareDatabase(place);
}

/** Without its schema. */
export function openBareDatabase({ engine, dataDir, databaseUrl }: DatabasePlace): Database {
  const database =
    engine === "postgres" && databaseUrl !== undefined
      ? openPostgres({ url: databaseUrl, statementMs: 2_000 })
      : openSqlite({ file: join(dataDir, "dragoman.sqlite") });
  onTestFinished(() => database.close());
  return database;
}
