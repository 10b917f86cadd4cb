import { appendFileSync, chmodSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { run } from "../../src/cli/run.ts";
import { type JournalRecord, writeRecord } from "../../src/ledger/journal/record.ts";
import { segmentName } from "../../src/ledger/journal/segment.ts";
import { temporaryDirectory } from "../config/temporary.ts";
import { intentOf } from "../ledger/rows.ts";
import { hasRedisServer, startRedis } from "../limits/redis-server.ts";

const directory = temporaryDirectory();
let places = 0;

async function dragoman(line: string, env: NodeJS.ProcessEnv = {}): Promise<{ code: number; text: string }> {
  let text = "";
  const write = (more: string) => void (text += more);
  const code = await run(line.split(" "), { write, writeError: write, color: false, env, cwd: directory.path });
  return { code, text };
}

/** A data directory with a database. */
async function newPlace() {
  const data = join(directory.path, `data-${places++}`);
  const env = { DRAGOMAN_DATA_DIR: data };
  expect((await dragoman("migrate", env)).code).toBe(0);
  return { data, env, database: join(data, "dragoman.sqlite") };
}

const epoch = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

/** The journal of a process that died: a segment with one open attempt. */
function leaveJournal(data: string): { file: string; bytes: number } {
  const journal = join(data, "journal", epoch);
  mkdirSync(journal, { recursive: true });
  const records: JournalRecord[] = [
    { is: "header", header: { version: 1, epoch, number: 1, previous: undefined } },
    { is: "intent", intent: intentOf({ epoch }) },
    { is: "intent", intent: intentOf({ epoch }) },
  ];
  const content = Buffer.concat(records.map(writeRecord));
  const file = join(journal, segmentName(1));
  writeFileSync(file, content);
  return { file, bytes: content.length };
}

describe("dragoman doctor", () => {
  test("finds nothing wrong where nothing is there yet, and makes nothing", async () => {
    const { code, text } = await dragoman("doctor", { DRAGOMAN_DATA_DIR: join(directory.path, "none") });
    expect({ code, text }).toMatchObject({ code: 0, text: expect.stringMatching(/^ok +configuration[\s\S]*is not there yet/) });
  });

  test("finds a good installation good", async () => {
    const { env } = await newPlace();
    const { code, text } = await dragoman("doctor", env);
    expect({ code, text }).toMatchObject({ code: 0, text: expect.stringMatching(/is whole, and its schema is up to date/) });
  });

  test("S8: a broken configuration is told with its place, exit 78", async () => {
    writeFileSync(join(directory.path, "broken.yaml"), "server:\n  listen: [\n");
    const { code, text } = await dragoman("doctor --config broken.yaml");
    expect(code).toBe(78);
    expect(text).toMatch(/broken\.yaml.*\b(?:2|3)\b/);
  });

  test("S8: a damaged database is named and left alone, with --fix too", async () => {
    const { env, database } = await newPlace();
    const { length } = readFileSync(database);
    truncateSync(database, length - 4_096);
    const before = readFileSync(database);
    for (const line of ["doctor", "doctor --fix"]) {
      const { code, text } = await dragoman(line, env);
      expect(code).toBe(70);
      expect(text).toContain(database);
      expect(text).toMatch(/problem +database .*damaged/);
    }
    expect(readFileSync(database).equals(before)).toBe(true);
  });

  test("S8: a database of a newer program is told", async () => {
    const { env, database } = await newPlace();
    const { DatabaseSync } = await import("node:sqlite");
    const opened = new DatabaseSync(database);
    opened.exec("INSERT INTO schema_migrations (version, name, applied_at) VALUES (9000, 'from the future', 0)");
    opened.close();
    const { code, text } = await dragoman("doctor", env);
    expect({ code, text }).toMatchObject({ code: 70, text: expect.stringMatching(/schema 9000 .*start a newer version/) });
  });

  test("S8: the torn end of a dead process's journal is told, and cut with --fix alone", async () => {
    const { data, env } = await newPlace();
    const { file, bytes } = leaveJournal(data);
    appendFileSync(file, Buffer.from("half a reco"));
    const told = await dragoman("doctor", env);
    expect(told).toMatchObject({ code: 0, text: expect.stringContaining(`${file}: is torn from byte ${bytes} on`) });
    expect(readFileSync(file)).toHaveLength(bytes + 11);
    expect(await dragoman("doctor --fix", env)).toMatchObject({ code: 0, text: expect.stringContaining(`cut at byte ${bytes}`) });
    expect(readFileSync(file)).toHaveLength(bytes);
    expect((await dragoman("doctor", env)).text).not.toContain("torn");
  });

  test("S8: damage within a journal is told with file and byte, and is nothing that --fix touches", async () => {
    const { data, env } = await newPlace();
    const { file } = leaveJournal(data);
    const content = readFileSync(file);
    const at = writeRecord({ is: "header", header: { version: 1, epoch, number: 1, previous: undefined } }).length;
    content[at + 20] = (content[at + 20] ?? 0) ^ 0xff;
    writeFileSync(file, content);
    const { code, text } = await dragoman("doctor --fix", env);
    expect({ code, text }).toMatchObject({ code: 70, text: expect.stringContaining(`${file}: is damaged at byte ${at}`) });
    expect(readFileSync(file).equals(content)).toBe(true);
  });

  test("tells of files that others may read, and how to change it", async () => {
    const { env, database } = await newPlace();
    chmodSync(database, 0o644);
    expect(await dragoman("doctor", env)).toMatchObject({ code: 70, text: expect.stringContaining(`chmod 600 ${database}`) });
  });

  test("tells that PostgreSQL and Redis are away, each, and neither's password", async () => {
    const { code, text } = await dragoman("doctor", {
      DATABASE_URL: "postgres://u:canary@127.0.0.1:1/x",
      REDIS_URL: "redis://:canary@127.0.0.1:1",
    });
    expect(code).toBe(70);
    expect(text).toMatch(/problem +database .*ECONNREFUSED/);
    expect(text).toMatch(/problem +redis .*ECONNREFUSED/);
    expect(text).not.toContain("canary");
  });

  test.skipIf(!hasRedisServer)("finds a Redis that answers", async () => {
    const redis = await startRedis();
    try {
      const { env } = await newPlace();
      const { code, text } = await dragoman("doctor", { ...env, REDIS_URL: redis.url.reveal() });
      expect({ code, text }).toMatchObject({ code: 0, text: expect.stringMatching(/ok +redis +it answers/) });
    } finally {
      await redis.close();
    }
  });
});
