/** The first start prints one administrator's key, however many workers or processes there are; no later start prints one. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, expect, test } from "vitest";
import { startPostgresServer, whyNoPostgres } from "../stores/postgres-server.ts";

const root = join(import.meta.dirname, "../..");
const directory = mkdtempSync(join(tmpdir(), "dragoman-first-key-"));
const children: ChildProcess[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const environment = {
  PATH: process.env.PATH ?? "",
  HOME: process.env.HOME ?? "/",
  NO_COLOR: "1",
  PORT: "0",
  ADMIN_PORT: "0",
  DRAGOMAN_DATA_DIR: directory,
  DRAGOMAN__AUTH__ENABLED: "true",
  DRAGOMAN__DISCOVERY__ENABLED: "false",
  DRAGOMAN__LOCAL_EMBEDDINGS__ENABLED: "false",
  DRAGOMAN__SERVER__DRAIN_NOTICE_SECONDS: "0",
  DRAGOMAN__SERVER__DRAIN_SECONDS: "0",
};

interface Started {
  readonly adminUrl: string;
  /** Everything that it wrote. */
  readonly out: () => string;
  stop(): Promise<void>;
}

/** A gateway that serves: `isUp` sees that in what it wrote. */
async function start(words: readonly string[], env: NodeJS.ProcessEnv, isUp: (out: string) => boolean): Promise<Started> {
  const child = spawn(process.execPath, ["src/main.ts", "serve", ...words], { cwd: root, env });
  children.push(child);
  let out = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text: string) => (out += text));
  while (!isUp(out)) {
    if (child.exitCode !== null) throw new Error(`it does not start:\n${out}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return {
    adminUrl: /admin\s+(http:\S+)/.exec(out)?.[1] ?? "",
    out: () => out,
    async stop() {
      child.kill("SIGTERM");
      await once(child, "exit");
    },
  };
}

const greeted = (out: string) => out.includes("buf curl");

/** Everything that a gateway of two workers wrote until it served; `use` is given its admin port before it stops. */
async function serve(use: (adminUrl: string, out: string) => Promise<void>): Promise<string> {
  // Both workers have opened the store when both say that they serve.
  const bothServe = (out: string) => greeted(out) && out.split('"a worker serves"').length > 2;
  const { adminUrl, out, stop } = await start(["--workers", "2"], environment, bothServe);
  await use(adminUrl, out());
  await stop();
  return out();
}

const printed = (out: string) => out.match(/dgm_live_[0-9a-z]{12}_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}/g) ?? [];

async function listKeys(adminUrl: string, key: string): Promise<{ status: number; text: string }> {
  const response = await fetch(`${adminUrl}/dragoman.admin.v1.KeyService/ListKeys`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: "{}",
  });
  return { status: response.status, text: await response.text() };
}

test("two workers print one key, once, and it works", async () => {
  let key = "";
  const first = await serve(async (adminUrl, out) => {
    [key = ""] = printed(out);
    const { status, text } = await listKeys(adminUrl, key);
    expect(status).toBe(200);
    expect((JSON.parse(text) as { keys: unknown[] }).keys).toHaveLength(1);
  });
  expect(printed(first)).toEqual([key]);
  const second = await serve(async (adminUrl) => {
    expect((await listKeys(adminUrl, key)).status).toBe(200);
  });
  expect(printed(second)).toEqual([]);
  // Neither the store nor the logs hold it.
  const secret = key.split("_")[3] ?? "";
  for (const name of readdirSync(directory, { recursive: true, encoding: "utf8" })) {
    const path = join(directory, name);
    if (statSync(path).isFile()) expect(readFileSync(path).includes(secret), name).toBe(false);
  }
}, 120_000);

const missing = whyNoPostgres();
if (missing !== undefined) process.stdout.write(`skipped: the first key of two processes: ${missing}\n`);

test.skipIf(missing !== undefined)(
  "two processes that begin at once on one empty PostgreSQL print one key, which both take",
  async () => {
    const server = await startPostgresServer();
    try {
      const shared = {
        ...environment,
        DATABASE_URL: await server.createDatabase(),
        DRAGOMAN__STORES__MIGRATE_ON_START: "true",
        DRAGOMAN__AUTH__PEPPER: "a-pepper-for-both-0123456789-0123456789",
      };
      const both = await Promise.all(["a", "b"].map((name) => start([], { ...shared, DRAGOMAN_DATA_DIR: join(directory, name) }, greeted)));
      const keys = both.flatMap(({ out }) => printed(out()));
      expect(keys).toHaveLength(1);
      for (const { adminUrl } of both) {
        const { status, text } = await listKeys(adminUrl, keys[0] ?? "");
        expect(status).toBe(200);
        expect((JSON.parse(text) as { keys: unknown[] }).keys).toHaveLength(1);
      }
      await Promise.all(both.map(({ stop }) => stop()));
    } finally {
      await server.remove();
    }
  },
  120_000,
);
