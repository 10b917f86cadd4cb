import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { run } from "../../src/cli/run.ts";
import { writeRecord } from "../../src/ledger/journal/record.ts";
import { segmentName } from "../../src/ledger/journal/segment.ts";
import { temporaryDirectory } from "../config/temporary.ts";
import { intentOf } from "../ledger/rows.ts";

const directory = temporaryDirectory();

async function dragoman(line: string, env: NodeJS.ProcessEnv = {}): Promise<{ code: number; text: string }> {
  let text = "";
  const write = (more: string) => void (text += more);
  const code = await run(line.split(" "), { write, writeError: write, color: false, env, cwd: directory.path });
  return { code, text };
}

describe("dragoman ledger verify", () => {
  test("books without entries are in order", async () => {
    const { code, text } = await dragoman("ledger verify", { DRAGOMAN_DATA_DIR: join(directory.path, "empty") });
    expect(text).toMatch(/default +0 +0\.000000000 +0\.000000000/);
    expect({ code, last: text.trimEnd().split("\n").at(-1) }).toEqual({ code: 0, last: "the books are in order" });
  });

  test("names the journal that a dead process left, and exits with 70", async () => {
    const epoch = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    const data = join(directory.path, "left");
    const journal = join(data, "journal", epoch);
    mkdirSync(journal, { recursive: true });
    const header = { version: 1, epoch, number: 1, previous: undefined };
    const records = [{ is: "header", header } as const, { is: "intent", intent: intentOf({ epoch }) } as const];
    writeFileSync(join(journal, segmentName(1)), Buffer.concat(records.map(writeRecord)));
    const { code, text } = await dragoman("ledger verify", { DRAGOMAN_DATA_DIR: data });
    expect(code).toBe(70);
    expect(text).toMatch(new RegExp(`${epoch} +left behind +1 +0 +1\\n`));
    expect(text).toContain("left one attempt open; the next start settles what is left");
  });

  test("says that the database is away", async () => {
    const { code, text } = await dragoman("ledger verify", { DATABASE_URL: "postgres://u:canary@127.0.0.1:1/x" });
    expect(code).toBe(69);
    expect(text).toContain("the database is away");
    expect(text).not.toContain("canary");
  });
});
