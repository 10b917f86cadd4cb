/** S8: a SQLite file that is not as it was written stops the start, and is named with the place of the damage. */
import { copyFileSync, existsSync, readFileSync, rmSync, statSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { StartError } from "../../src/core/start-error.ts";
import { allTenants } from "../../src/stores/database.ts";
import { databaseFile, findDamage, migrateDatabase, openDatabase } from "../../src/stores/open-database.ts";
import { openSqlite } from "../../src/stores/sqlite/sqlite-database.ts";
import { temporaryDirectory } from "../config/temporary.ts";

const directory = temporaryDirectory();
const pageBytes = 4_096;
const whole = () => join(directory.path, "whole.sqlite");
let places = 0;

/** A database of some hundred pages, closed as it should be. */
beforeAll(async () => {
  const dataDir = join(directory.path, "whole");
  await migrateDatabase({ engine: "sqlite", dataDir, databaseUrl: undefined }, () => 0);
  const database = openSqlite({ file: databaseFile(dataDir) });
  const values = Array.from({ length: 2_000 }, (_, index) => ({
    sql: "INSERT INTO versions (kind, value) VALUES (?, ?)",
    values: [`kind-${index}-${"x".repeat(200)}`, index],
  }));
  await database.write(allTenants, values);
  await database.close();
  expect(existsSync(`${databaseFile(dataDir)}-wal`)).toBe(false);
  copyFileSync(databaseFile(dataDir), whole());
  expect(statSync(whole()).size).toBeGreaterThan(100 * pageBytes);
}, 60_000);

/** A copy of it that something happened to. */
function placeWith(happen: (file: string) => void) {
  const dataDir = join(directory.path, `place-${places++}`);
  const place = { engine: "sqlite", dataDir, databaseUrl: undefined } as const;
  return {
    ...place,
    file: databaseFile(dataDir),
    async make() {
      await migrateDatabase(place, () => 0);
      copyFileSync(whole(), databaseFile(dataDir));
      happen(databaseFile(dataDir));
      return place;
    },
  };
}

function overwrite(file: string, at: number, bytes: Buffer): void {
  const content = readFileSync(file);
  bytes.copy(content, at);
  writeFileSync(file, content);
}

const middle = () => Math.floor(statSync(whole()).size / pageBytes / 2);

test.each<[string, (file: string) => void, RegExp]>([
  ["flipped bytes in a page", (file) => overwrite(file, middle() * pageBytes, Buffer.alloc(16, 0xff)), /./],
  ["a page of zeros", (file) => overwrite(file, middle() * pageBytes, Buffer.alloc(pageBytes)), /./],
  ["a truncated file", (file) => truncateSync(file, 20 * pageBytes), /malformed/],
  ["a file that ends within a page", (file) => truncateSync(file, 20 * pageBytes + 100), /malformed/],
  ["no database", (file) => writeFileSync(file, "no database, whatever its name says".repeat(500)), /not a database/],
  [
    "an old file without a byte",
    (file) => {
      truncateSync(file, 0);
      utimesSync(file, 1, 1);
    },
    /the file is empty/,
  ],
])("S8: %s stops the start, and the file is left as it is", async (_, happen, said) => {
  const { make, file } = placeWith(happen);
  const place = await make();
  const before = readFileSync(file);
  for (const start of [() => openDatabase(place, () => 0, true), () => migrateDatabase(place, () => 0)]) {
    const thrown = await start().catch((error: unknown) => error);
    expect(thrown).toBeInstanceOf(StartError);
    expect(thrown).toMatchObject({ exitCode: 74, message: expect.stringContaining(`${file}: the database is damaged`) });
    expect((thrown as StartError).message).toMatch(said);
  }
  expect(readFileSync(file).equals(before)).toBe(true);
});

test("S8: the byte where the bad page begins is named", async () => {
  // The interior pages above it stand: SQLite goes down to the page itself.
  const { make } = placeWith((file) => overwrite(file, middle() * pageBytes, Buffer.from([0x77])));
  const thrown = await openDatabase(await make(), () => 0, true).catch((error: unknown) => error);
  expect((thrown as StartError).message).toContain(`at byte ${middle() * pageBytes}`);
});

test("S8: a whole file is opened, also after an unclean end, and nothing is found in it", async () => {
  const { make, file } = placeWith(() => undefined);
  const place = await make();
  expect(await findDamage(place)).toEqual([]);
  const left = await openDatabase(place, () => 0, true);
  await left.write(allTenants, [{ sql: "INSERT INTO versions (kind, value) VALUES ('last', 1)", values: [] }]);
  // As a process that is killed leaves them.
  const crashed = join(directory.path, "crashed");
  const copy = { engine: "sqlite", dataDir: crashed, databaseUrl: undefined } as const;
  await migrateDatabase(copy, () => 0);
  for (const end of ["", "-wal"]) copyFileSync(`${file}${end}`, `${databaseFile(crashed)}${end}`);
  expect(statSync(`${databaseFile(crashed)}-wal`).size).toBeGreaterThan(0);
  await left.close();
  const opened = await openDatabase(copy, () => 0, true);
  expect(await opened.rows(allTenants, "SELECT value FROM versions WHERE kind = 'last'")).toMatchObject([{ value: 1n }]);
  await opened.close();
});

test("S8: doctor's look finds what a start finds", async () => {
  const { make } = placeWith((file) => overwrite(file, middle() * pageBytes, Buffer.from([0x77])));
  const found = await findDamage(await make()).catch((error: unknown) => [String(error)]);
  expect(found.join()).toMatch(/malformed|page/i);
});

afterAll(() => rmSync(whole(), { force: true }));
