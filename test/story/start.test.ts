/** The first five minutes: the program as a process, its banner, the lines it prints, and how it ends. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, describe, expect, test, vi } from "vitest";

// Starting a process takes long where others have the machine.
vi.setConfig({ testTimeout: 240_000 });

const root = join(import.meta.dirname, "../..");
const sh = promisify(execFile);
const children: ChildProcess[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

/** What a user's shell has, without this machine's keys. */
const bare = { PATH: `${join(root, "node_modules/.bin")}:${process.env.PATH}`, HOME: process.env.HOME ?? "/", NO_COLOR: "1" };

interface Started {
  readonly child: ChildProcess;
  /** All of stdout so far. */
  out(): string;
  err(): string;
}

function launch(env: Record<string, string> = {}, ...flags: string[]): Started {
  const child = spawn(process.execPath, ["src/main.ts", "serve", ...flags], {
    cwd: root,
    env: { ...bare, PORT: "0", ADMIN_PORT: "0", ...env },
  });
  children.push(child);
  let out = "";
  let err = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    out += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    err += text;
  });
  return { child, out: () => out, err: () => err };
}

async function launchAndWait(env?: Record<string, string>, ...flags: string[]): Promise<Started & { url: string; adminUrl: string }> {
  const started = launch(env, ...flags);
  const until = performance.now() + 120_000;
  while (!started.out().includes("buf curl")) {
    if (started.child.exitCode !== null || performance.now() > until) throw new Error(`did not start:\n${started.out()}\n${started.err()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const [url = "", adminUrl = ""] = started.out().match(/http:\/\/127\.0\.0\.1:\d+/g) ?? [];
  return { ...started, url, adminUrl };
}

async function exitCode({ child }: Started): Promise<number | null> {
  if (child.exitCode === null) await once(child, "exit");
  return child.exitCode;
}

describe("with nothing configured", () => {
  test("it says where it listens, what it found, and two lines that answer when pasted; SIGTERM ends it with 0", async () => {
    const started = await launchAndWait({ DRAGOMAN__SERVER__DRAIN_NOTICE_SECONDS: "0" });
    expect(started.out()).toContain(started.url);
    expect(started.out()).toContain(started.adminUrl);
    expect(started.out()).toMatch(/sim\b/);
    expect(started.out()).toMatch(/loopback/i);

    const lines = started
      .out()
      .split("\n")
      .map((line) => line.trim());
    const curl = lines.find((line) => line.startsWith("curl ")) ?? "";
    const buf = lines.find((line) => line.includes("buf curl")) ?? "";
    const answer = JSON.parse((await sh("bash", ["-c", curl], { cwd: root, env: bare })).stdout);
    expect(answer.choices[0].message.content).toMatch(/Hello/);
    const events = (await sh("bash", ["-c", buf], { cwd: root, env: bare })).stdout;
    expect(events).toContain('"settled"');
    expect(events).toMatch(/"text":\s*"Hel/);

    expect(await (await fetch(`${started.url}/healthz`)).text()).toBe("OK");
    expect((await fetch(`${started.adminUrl}/readyz`)).status).toBe(200);
    started.child.kill("SIGTERM");
    expect(await exitCode(started)).toBe(0);
  });

  test("a vendor's key in the environment enables the vendor, and is in no line", async () => {
    const started = await launchAndWait({ ANTHROPIC_API_KEY: "sk-ant-canary-0123456789", ANTHROPIC_BASE_URL: "http://127.0.0.1:9" });
    expect(started.out()).toMatch(/anthropic/);
    expect(started.out() + started.err()).not.toContain("canary");
  });
});

describe("what must not start", () => {
  test("AUTH-8: beyond loopback without auth: exit 78 and why", async () => {
    const started = launch({ HOST: "0.0.0.0" });
    expect(await exitCode(started)).toBe(78);
    expect(started.err()).toMatch(/auth is off/);
  });

  test("beyond loopback with a key it starts, and asks for it", async () => {
    const key = "a-key-that-is-long-enough-0001";
    const started = await launchAndWait({ HOST: "0.0.0.0", DRAGOMAN_API_KEY: key });
    expect(started.out() + started.err()).not.toContain(key);
    const url = `http://127.0.0.1:${/data\s+http:\/\/0\.0\.0\.0:(\d+)/.exec(started.out())?.[1]}`;
    const list = (headers: Record<string, string>) => fetch(`${url}/v1/models`, { headers });
    expect((await list({})).status).toBe(401);
    expect((await list({ authorization: `Bearer ${key}` })).status).toBe(200);
  });

  test("an address in use: exit 69, which one, and how to change it", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const address = taken.address();
    const port = typeof address === "object" && address !== null ? String(address.port) : "";
    const started = launch({ PORT: port });
    expect(await exitCode(started)).toBe(69);
    expect(started.err()).toContain(port);
    taken.close();
  });

  test("X8: a broken configuration: exit 78 and every problem with its path", async () => {
    const started = launch({ DRAGOMAN__SERVER__MAX_BODY_BYTES: "many", DRAGOMAN__ADMISION__MAX_QUEUE: "1" });
    expect(await exitCode(started)).toBe(78);
    expect(started.err()).toContain("server.max_body_bytes");
    expect(started.err()).toMatch(/ADMISION.*did you mean.*ADMISSION/);
  });
});

test("P1: SIGTERM lets a running stream finish: readiness off, the last words arrive, exit 0", async () => {
  const started = await launchAndWait({ DRAGOMAN__SERVER__DRAIN_NOTICE_SECONDS: "1", DRAGOMAN__SERVER__DRAIN_SECONDS: "20" });
  const script = { sim_script: { steps: [{ text: "first " }, { delay_ms: 2_500 }, { text: "last" }] } };
  const response = await fetch(`${started.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "sim/script", stream: true, messages: [{ role: "user", content: JSON.stringify(script) }] }),
  });
  const reader = response.body?.getReader();
  const first = await reader?.read();
  started.child.kill("SIGTERM");
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect((await fetch(`${started.adminUrl}/readyz`)).status).toBe(503);
  let text = Buffer.from(first?.value ?? []).toString();
  for (let piece = await reader?.read(); piece && !piece.done; piece = await reader?.read()) text += Buffer.from(piece.value).toString();
  expect(text).toContain("last");
  expect(text.trimEnd().endsWith("data: [DONE]")).toBe(true);
  expect(await exitCode(started)).toBe(0);
});
