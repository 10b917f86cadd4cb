/** The program as the system sees it: exit codes, streams and signals. Every test here starts a process. */
import { type ChildProcess, spawn } from "node:child_process";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { version } from "../../src/version.ts";

const main = new URL("../../src/main.ts", import.meta.url).pathname;
const children: ChildProcess[] = [];
const quiet = {
  DRAGOMAN__DISCOVERY__ENABLED: "false",
  DRAGOMAN__SERVER__DRAIN_NOTICE_SECONDS: "0",
  DRAGOMAN__LOCAL_EMBEDDINGS__ENABLED: "false",
};

afterEach(() => {
  for (const child of children.splice(0)) if (child.exitCode === null) child.kill("SIGKILL");
});

interface Running {
  readonly child: ChildProcess;
  out(): string;
  error(): string;
  readonly ended: Promise<number | null>;
}

function start(words: readonly string[], env: NodeJS.ProcessEnv = {}): Running {
  const child = spawn(process.execPath, [main, ...words], { env: { PATH: process.env.PATH, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  children.push(child);
  let out = "";
  let error = "";
  child.stdout?.on("data", (piece) => (out += piece));
  child.stderr?.on("data", (piece) => (error += piece));
  return { child, out: () => out, error: () => error, ended: new Promise((resolve) => child.once("close", resolve)) };
}

async function until(fact: () => boolean): Promise<void> {
  const end = performance.now() + 10_000;
  while (!fact()) {
    if (performance.now() > end) throw new Error("it did not come to that");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test("--version goes to stdout with exit code 0", async () => {
  const { ended, out, error } = start(["--version"]);
  expect(await ended).toBe(0);
  expect([out(), error()]).toEqual([`dragoman ${version}\n`, ""]);
});

test("wrong arguments go to stderr with exit code 64", async () => {
  const { ended, out, error } = start(["serve", "--prot", "1"]);
  expect(await ended).toBe(64);
  expect(out()).toBe("");
  expect(error()).toContain('did you mean "--port"?');
});

test("a slow reader of a pipe gets all of a long answer", async () => {
  const pipe = spawn("sh", ["-c", '"$0" "$1" config schema | (sleep 1; wc -c)', process.execPath, main], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.push(pipe);
  let counted = "";
  for await (const part of pipe.stdout) counted += part;
  // More than a pipe holds.
  expect(Number(counted)).toBeGreaterThan(70_000);
});

describe("serve", () => {
  test("beyond loopback without auth does not start: exit code 78 and why", async () => {
    const { ended, out, error } = start(["serve"], { ...quiet, HOST: "0.0.0.0", PORT: "0" });
    expect(await ended).toBe(78);
    expect(out()).toBe("");
    expect(error()).toContain("is reachable from other machines, but auth is off; set DRAGOMAN_API_KEY");
  });

  test("on an address in use does not start: exit code 69, which one, and what to do", async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    const { port } = taken.address() as AddressInfo;
    const { ended, error } = start(["serve", "--port", String(port), "--admin-port", "0"], quiet);
    const code = await ended;
    taken.close();
    expect(error()).toContain(`the data port 127.0.0.1:${port} is in use`);
    expect(error()).toContain("--port");
    expect(code).toBe(69);
  });

  test("prints the banner on stdout, answers, logs JSON on stderr, and ends well on SIGTERM", async () => {
    const { child, ended, out, error } = start(["--port", "0", "--admin-port", "0"], {
      ...quiet,
      DRAGOMAN_API_KEY: "canary-0123456789abcdef",
    });
    await until(() => out().includes("npx buf curl"));
    const [dataUrl = "", adminUrl = ""] = out().match(/http:\/\/127\.0\.0\.1:\d+/g) ?? [];
    const ask = (key: string) =>
      fetch(`${dataUrl}/v1/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json", authorization: `Bearer ${key}` },
        body: JSON.stringify({ model: "sim/echo", messages: [{ role: "user", content: "Hello" }] }),
      });
    const answered = await ask("canary-0123456789abcdef");
    expect(answered.status).toBe(200);
    expect(await answered.json()).toMatchObject({ choices: [{ message: { content: "Hello" } }] });
    expect((await ask("wrong")).status).toBe(401);
    expect((await fetch(`${adminUrl}/healthz`)).status).toBe(200);
    child.kill("SIGTERM");
    expect(await ended).toBe(0);
    const lines = error()
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines).toContainEqual(expect.objectContaining({ msg: "attempt", target: "sim/echo", status: "success" }));
    expect(lines).toContainEqual(expect.objectContaining({ signal: "SIGTERM" }));
    for (const line of lines) expect(JSON.stringify(line)).not.toMatch(/\[not listed\]|canary/);
    expect(out()).not.toContain("canary");
  });

  test("P2: a second signal does not wait for the calls that run", async () => {
    const { child, ended, out, error } = start(["--port", "0", "--admin-port", "0"], {
      ...quiet,
      DRAGOMAN__SERVER__DRAIN_NOTICE_SECONDS: "60",
    });
    await until(() => out().includes("npx buf curl"));
    child.kill("SIGINT");
    await until(() => error().includes("stopping"));
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(child.exitCode).toBeNull();
    const hurriedAt = performance.now();
    child.kill("SIGINT");
    await ended;
    expect(performance.now() - hurriedAt).toBeLessThan(3_000);
  });
});

test("sim listens, says where, and ends on SIGTERM", async () => {
  const { child, ended, out } = start(["sim", "--port", "0"]);
  await until(() => out().includes("http://"));
  expect(out()).toMatch(/^simulated upstream on http:\/\/127\.0\.0\.1:\d+, gRPC on http:\/\/127\.0\.0\.1:\d+\n$/);
  child.kill("SIGTERM");
  expect(await ended).toBe(0);
});
