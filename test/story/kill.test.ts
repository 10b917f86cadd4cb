/** The short form of the kill test; `npm run endurance -- kill` runs the long one. */
import { afterAll, describe, expect, test } from "vitest";
import { runKillTest } from "../endurance/kill.ts";
import { type PostgresServer, startPostgresServer, whyNoPostgres } from "../stores/postgres-server.ts";

const clean = { lost: 0, double: 0, open: 0, wrong: 0 };

test.each([1, 2])(
  "S4, P3: SQLite, seed %d: killed three times under load, no row is lost or doubled",
  { timeout: 120_000 },
  async (seed) => {
    const tally = await runKillTest({ seed, kills: 3, clients: 8, journal: "os" });
    expect(tally).toMatchObject(clean);
    expect(tally.billed).toBeGreaterThan(0);
  },
);

const missing = whyNoPostgres();
if (missing !== undefined) console.log(`kill test on PostgreSQL skipped: ${missing}`);

describe.skipIf(missing !== undefined)("PostgreSQL", () => {
  let server: PostgresServer | undefined;
  afterAll(() => server?.remove());

  test("S4, P3: killed three times under load, no row is lost or doubled", { timeout: 120_000 }, async () => {
    server = await startPostgresServer();
    const databaseUrl = await server.createDatabase();
    const tally = await runKillTest({ seed: 3, kills: 3, clients: 8, journal: "os", databaseUrl });
    expect(tally).toMatchObject(clean);
    expect(tally.billed).toBeGreaterThan(0);
  });
});
