/** The first start prints one administrator's key, however many workers there are; no later start prints one. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");
const directory = mkdtempSync(join(tmpdir(), "dragoman-first-key-"));
const children: ChildProcess[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  rmSync(directory, { recursive: true, force: true });
});

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

/** Everything that a gateway of two workers wrote until it served; `use` is given its admin port before it stops. */
async function serve(use: (adminUrl: string, out: string) => Promise<void>): Promise<string> {
  const child = spawn(process.execPath, ["src/main.ts", "serve", "--workers", "2"], { cwd: root, env: environment });
  children.push(child);
  let out = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text: string) => (out += text));
  // Both workers have opened the store when both say that they serve.
  while (!(out.includes("buf curl") && out.split('"a worker serves"').length > 2)) {
    if (child.exitCode !== null) throw new Error(`it does not start:\n${out}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await use(/admin\s+(http:\S+)/.exec(out)?.[1] ?? "", out);
  child.kill("SIGTERM");
  await once(child, "exit");
  return out;
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
