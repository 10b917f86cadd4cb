import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { run } from "../../src/cli/run.ts";
import { loadConfig } from "../../src/config/load.ts";
import { temporaryDirectory } from "../config/temporary.ts";

const directory = temporaryDirectory();

/** Runs a command in this process; all that it wrote, and its exit code. */
async function dragoman(line: string, env: NodeJS.ProcessEnv = {}): Promise<{ code: number; text: string }> {
  let text = "";
  const write = (more: string) => void (text += more);
  const code = await run(line.split(" "), { write, writeError: write, color: false, env, cwd: directory.path });
  return { code, text };
}

describe("dragoman migrate", () => {
  test("looks without making a file, brings the schema up to date, and is done", async () => {
    const env = { DRAGOMAN_DATA_DIR: join(directory.path, "data") };
    expect(await dragoman("migrate --check", env)).toMatchObject({ code: 78, text: expect.stringMatching(/^sqlite: missing .* step/) });
    expect(existsSync(env.DRAGOMAN_DATA_DIR)).toBe(false);
    expect(await dragoman("migrate", env)).toMatchObject({ code: 0, text: expect.stringMatching(/applied.*\n.*1 first schema/) });
    expect(await dragoman("migrate --check", env)).toEqual({ code: 0, text: "the schema of sqlite is up to date\n" });
  });

  test("says what to set where nothing names a database", async () => {
    expect(await dragoman("migrate")).toMatchObject({ code: 78, text: expect.stringContaining("set DRAGOMAN_DATA_DIR or DATABASE_URL") });
    expect(existsSync(join(directory.path, ".dragoman"))).toBe(false);
  });

  test("tells that the database is away, and nothing of its password", async () => {
    const { code, text } = await dragoman("migrate", { DATABASE_URL: "postgres://u:canary@127.0.0.1:1/x" });
    expect(code).toBe(69);
    expect(text).toMatch(/away.*ECONNREFUSED/);
    expect(text).not.toContain("canary");
  });

  test("takes no address of another database", async () => {
    const { code, text } = await dragoman("migrate", { DATABASE_URL: "mysql://u:canary@h/x" });
    expect(code).toBe(78);
    expect(text).toMatch(/DATABASE_URL: stores\.database_url: is no address of PostgreSQL/);
    expect(text).not.toContain("canary");
  });
});

describe("where records are kept", () => {
  const engineOf = (env: NodeJS.ProcessEnv) => loadConfig({ env, cwd: directory.path }).stores.engine;

  test("SQLite where a directory is named, unless PostgreSQL or an engine is", () => {
    expect(engineOf({})).toBe("auto");
    expect(engineOf({ DRAGOMAN_DATA_DIR: "here" })).toBe("sqlite");
    expect(engineOf({ DRAGOMAN_DATA_DIR: "here", DATABASE_URL: "postgres://h/x" })).toBe("auto");
    expect(engineOf({ DRAGOMAN_DATA_DIR: "here", DRAGOMAN__STORES__ENGINE: "memory" })).toBe("memory");
  });
});
