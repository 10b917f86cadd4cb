/** P1, P2, P3 and P9: how a process ends that has calls under way. What they cost is settled whatever ends it. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, afterEach, expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");
const directory = mkdtempSync(join(tmpdir(), "dragoman-stop-"));
const children: ChildProcess[] = [];
let places = 0;

/** On SIGWINCH nobody catches an error, on SIGURG nobody a rejection: faults of the program, as far as it can tell. */
const faults = join(directory, "faults.mjs");
writeFileSync(
  faults,
  `process.on("SIGWINCH", () => { throw new Error("injected exception"); });
process.on("SIGURG", () => { Promise.reject(new Error("injected rejection")); });\n`,
);

afterEach(() => {
  for (const child of children.splice(0)) if (child.exitCode === null) child.kill("SIGKILL");
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

interface Started {
  readonly child: ChildProcess;
  readonly url: string;
  readonly adminUrl: string;
  readonly env: NodeJS.ProcessEnv;
  error(): string;
  /** The exit code. */
  ended(): Promise<number | null>;
}

async function start(settings: NodeJS.ProcessEnv = {}): Promise<Started> {
  const env = {
    PATH: process.env.PATH ?? "",
    HOME: directory,
    NO_COLOR: "1",
    PORT: "0",
    ADMIN_PORT: "0",
    DRAGOMAN_DATA_DIR: join(directory, `data-${places++}`),
    DRAGOMAN__DISCOVERY__ENABLED: "false",
    DRAGOMAN__LOCAL_EMBEDDINGS__ENABLED: "false",
    DRAGOMAN__SERVER__DRAIN_NOTICE_SECONDS: "0",
    // How busy the test's machine is decides nothing here.
    DRAGOMAN__ADMISSION__OVERLOAD__EVENT_LOOP_MS: "0",
    ...settings,
  };
  const child = spawn(process.execPath, ["--import", faults, "src/main.ts", "serve"], { cwd: root, env });
  children.push(child);
  let out = "";
  let error = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (error += text));
  const until = performance.now() + 60_000;
  while (!out.includes("buf curl")) {
    if (child.exitCode !== null || performance.now() > until) throw new Error(`did not start:\n${out}\n${error}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const [url = "", adminUrl = ""] = out.match(/http:\/\/127\.0\.0\.1:\d+/g) ?? [];
  return {
    child,
    url,
    adminUrl,
    env,
    error: () => error,
    async ended() {
      if (child.exitCode === null && child.signalCode === null) await once(child, "close");
      return child.exitCode;
    },
  };
}

interface Stream {
  /** Resolves with the first word. */
  readonly begun: Promise<void>;
  /** All that came, whether or not the end was in order. */
  readonly text: Promise<string>;
}

/** Short enough to come as one piece. */
const firstWord = '"one"';
const lastWord = '"end"';

/** A stream of a word, a pause and another word. */
function open(url: string, pauseMs: number): Stream {
  const script = { sim_script: { steps: [{ text: "one" }, { delay_ms: pauseMs }, { text: "end" }] } };
  const body = JSON.stringify({ model: "sim/script", stream: true, messages: [{ role: "user", content: JSON.stringify(script) }] });
  const begun = Promise.withResolvers<void>();
  const over = Promise.withResolvers<string>();
  let text = "";
  const end = (): void => {
    begun.resolve();
    over.resolve(text);
  };
  const request = http.request(
    `${url}/v1/chat/completions`,
    { method: "POST", agent: false, headers: { "content-type": "application/json" } },
    (response) => {
      response
        .on("data", (piece: Buffer) => {
          text += piece.toString();
          if (text.includes(firstWord)) begun.resolve();
        })
        .on("error", () => undefined)
        .on("close", end);
    },
  );
  request.on("error", end);
  request.end(body);
  return { begun: begun.promise, text: over.promise };
}

async function openMany(url: string, count: number, pauseMs: number): Promise<Promise<string>[]> {
  const streams: Stream[] = [];
  // Not all connections in one moment: a listener's queue is short.
  for (let left = count; left > 0; left -= 50) {
    const some = Array.from({ length: Math.min(50, left) }, () => open(url, pauseMs));
    await Promise.all(some.map(({ begun }) => begun));
    streams.push(...some);
  }
  return streams.map(({ text }) => text);
}

function isWhole(text: string): boolean {
  return text.includes(lastWord) && text.trimEnd().endsWith("data: [DONE]");
}

/** It has its first word, is told what became of it, and does not look as if it were over. */
function isToldOfItsEnd(text: string): boolean {
  return text.includes(firstWord) && text.includes('"error"') && !text.includes("[DONE]");
}

async function dragoman(env: NodeJS.ProcessEnv, ...words: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, ["src/main.ts", ...words], { cwd: root, env });
  return stdout;
}

/** The books are in order (else the command fails), with so many rows, none of them ended by a crash. */
async function expectSettled(env: NodeJS.ProcessEnv, rows: number): Promise<void> {
  expect(await dragoman(env, "ledger", "verify")).toMatch(new RegExp(`default +${rows} `));
  expect(await dragoman(env, "usage", "--by", "outcome", "--csv")).not.toContain("crash");
}

test("P1: SIGTERM with 500 open streams: not ready at once, who ends in time ends well, the others are told, all is settled", {
  timeout: 120_000,
}, async () => {
  const { child, url, adminUrl, env, ended } = await start({ DRAGOMAN__SERVER__DRAIN_SECONDS: "8" });
  const long = await openMany(url, 250, 300_000);
  const short = await openMany(url, 250, 3_000);
  child.kill("SIGTERM");
  await expect.poll(async () => (await fetch(`${adminUrl}/readyz`)).status, { timeout: 2_000, interval: 20 }).toBe(503);
  const texts = { short: await Promise.all(short), long: await Promise.all(long) };
  expect(await ended()).toBe(0);
  expect(texts.short.filter((text) => !isWhole(text))).toEqual([]);
  expect(texts.long.filter((text) => !isToldOfItsEnd(text))).toEqual([]);
  await expectSettled(env, 500);
});

test("P2: a second SIGTERM ends what runs in words, settles it, and the process is gone within 3 s", { timeout: 60_000 }, async () => {
  const { child, url, env, error, ended } = await start({ DRAGOMAN__SERVER__DRAIN_SECONDS: "600" });
  const streams = await openMany(url, 20, 300_000);
  child.kill("SIGTERM");
  await expect.poll(error, { timeout: 10_000 }).toContain("draining");
  // What follows at once is the same signal, passed on by whoever started the program.
  await new Promise((resolve) => setTimeout(resolve, 700));
  expect(child.exitCode).toBeNull();
  const hurriedAt = performance.now();
  child.kill("SIGTERM");
  await ended();
  expect(performance.now() - hurriedAt).toBeLessThan(3_000);
  const texts = await Promise.all(streams);
  expect(texts.filter((text) => !isToldOfItsEnd(text))).toEqual([]);
  await expectSettled(env, 20);
});

test("P3: SIGKILL with 500 open streams: the next start settles every one of them as a crash", { timeout: 120_000 }, async () => {
  const { child, url, env, ended } = await start();
  const streams = await openMany(url, 500, 300_000);
  child.kill("SIGKILL");
  await Promise.all([ended(), ...streams]);
  const next = await start({ DRAGOMAN_DATA_DIR: env.DRAGOMAN_DATA_DIR });
  const crashes = async () => /^crash,(\d+)/m.exec(await dragoman(env, "usage", "--by", "outcome", "--csv"))?.[1];
  await expect.poll(crashes, { timeout: 30_000, interval: 500 }).toBe("500");
  next.child.kill("SIGTERM");
  expect(await next.ended()).toBe(0);
  expect(await dragoman(env, "ledger", "verify")).toMatch(/default +500 /);
});

test.each(["SIGWINCH", "SIGURG"] as const)(
  "P9: a fault that nobody caught (%s) is logged, what runs is told and settled, exit 70",
  {
    timeout: 60_000,
  },
  async (signal) => {
    const { child, url, env, error, ended } = await start({ DRAGOMAN__SERVER__DRAIN_SECONDS: "600" });
    const streams = await openMany(url, 20, 300_000);
    child.kill(signal);
    expect(await ended()).toBe(70);
    const words = signal === "SIGWINCH" ? "injected exception" : "injected rejection";
    const lines = error()
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { msg: string });
    expect(lines.filter((line) => JSON.stringify(line).includes(words))).toEqual([
      expect.objectContaining({ msg: "the process failed and ends" }),
    ]);
    const texts = await Promise.all(streams);
    expect(texts.filter((text) => !isToldOfItsEnd(text))).toEqual([]);
    await expectSettled(env, 20);
  },
);
