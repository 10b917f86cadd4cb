/** reliability.md 4.5, P4, P7 and P8: processes that have too much to do, too few descriptors, too little memory. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { ask, quickScript, type Reply, startWorkers, until, type WorkerGateway } from "../cluster/worker-gateway.ts";

const main = join(import.meta.dirname, "../../src/main.ts");
const closers: (() => void)[] = [];

afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

interface Started {
  readonly child: ChildProcess;
  readonly url: string;
  readonly adminUrl: string;
  out(): string;
  err(): string;
  /** Exit code; null after a signal. */
  readonly ended: Promise<number | null>;
}

/** `before`: words of a shell that limit what the program gets. */
async function start(config: object, { before = "", nodeOptions = "" } = {}): Promise<Started> {
  const directory = mkdtempSync(join(tmpdir(), "dragoman-overload-"));
  const file = join(directory, "dragoman.json");
  const server = { listen: "127.0.0.1:0", listen_admin: "127.0.0.1:0", drain_notice_seconds: 0 };
  writeFileSync(file, JSON.stringify({ server, discovery: { enabled: false }, local_embeddings: { enabled: false }, ...config }));
  const child = spawn("/bin/sh", ["-c", `${before} exec "$0" ${nodeOptions} "${main}" serve --config "${file}"`, process.execPath], {
    env: { PATH: process.env.PATH, NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let out = "";
  let err = "";
  child.stdout.on("data", (piece) => (out += piece));
  child.stderr.on("data", (piece) => (err += piece));
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
  closers.push(() => {
    if (child.exitCode === null) child.kill("SIGKILL");
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  });
  await until(
    () => out.includes("try it") || child.exitCode !== null,
    () => `it did not start: ${err}`,
  );
  return {
    child,
    url: /data {3}(http:\S+)/.exec(out)?.[1] ?? "",
    adminUrl: /admin {2}(http:\S+)/.exec(out)?.[1] ?? "",
    out: () => out,
    err: () => err,
    ended,
  };
}

describe("too few descriptors", { timeout: 120_000 }, () => {
  test("P7: what is over the limit is closed, what is served is served on, and there is room again", async () => {
    const { url, child } = await start({}, { before: "ulimit -n 256;" });
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    closers.push(() => agent.destroy());
    expect((await ask(url, quickScript, { agent }).reply).status).toBe(200);

    const { hostname, port } = new URL(url);
    let closed = 0;
    const sockets = Array.from({ length: 300 }, () =>
      net
        .connect(Number(port), hostname)
        .on("error", () => {})
        .on("close", () => closed++),
    );
    // 256 less 64 are left for both sides of a call: 96 clients, one of whom was there before.
    await until(() => closed >= 300 - 95);
    expect((await ask(url, quickScript, { agent }).reply).status).toBe(200);
    expect(closed).toBe(300 - 95);
    for (const socket of sockets) socket.destroy();
    await until(async () => (await ask(url, quickScript).reply).status === 200);
    expect(child.exitCode).toBeNull();
  });
});

describe("too little memory", { timeout: 120_000 }, () => {
  // Bounds that every process is over: what is tested is what follows from it.
  const full = { admission: { overload: { event_loop_ms: 0, shed_heap: 0.85, restart_heap: 0.000_1 } } };
  const nearlyFull = { admission: { overload: { event_loop_ms: 0, shed_heap: 0.000_1, restart_heap: 1 } } };

  test("P8: calls are refused before their body is read, on every surface, and what is no call is answered", async () => {
    const { url, adminUrl } = await start(nearlyFull);
    await until(async () => (await ask(url, quickScript).reply).status === 429);
    const refused: Reply = await ask(url, quickScript).reply;
    expect(JSON.parse(refused.body)).toMatchObject({ error: { type: "server_error", message: expect.stringContaining("overloaded") } });
    expect(Number(refused.headers["retry-after"])).toBeGreaterThanOrEqual(1);
    // Only the head of a request: the answer does not wait for the rest.
    expect(await answerToHead(url, "/v1/messages")).toMatch(/^HTTP\/1\.1 429 /);
    const rpc = await fetch(`${url}/dragoman.v1.InferenceService/Complete`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ generate: { model: "sim/echo" } }),
    });
    expect([rpc.status, ((await rpc.json()) as { code: string }).code]).toEqual([429, "resource_exhausted"]);
    expect((await fetch(`${url}/v1/models`)).status).toBe(200);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    expect(await (await fetch(`${adminUrl}/readyz`)).json()).toEqual({ status: "degraded", away: ["heap"] });
    expect(await (await fetch(`${adminUrl}/metrics`)).text()).toMatch(/dragoman_overload_refused_total\{reason="heap"\} [1-9]/);
  });

  test("P8: one process lets its calls finish and ends with 70, to be started again", async () => {
    const { ended, err } = await start(full);
    expect(await ended).toBe(70);
    expect(err()).toContain("the heap is full");
  });

  test("P8: a worker is replaced without a lost call", async () => {
    const gateway: WorkerGateway = await startWorkers({ config: full });
    closers.push(() => gateway.close());
    const replies: Reply[] = [];
    await until(async () => {
      replies.push(await ask(gateway.url, quickScript).reply);
      return gateway.lines().filter(({ msg }) => msg === "a worker has ended").length >= 2;
    });
    expect(replies.map(({ status, error }) => error ?? status).filter((outcome) => outcome !== 200)).toEqual([]);
    expect(gateway.lines().some(({ msg }) => msg === "a worker asks to be replaced")).toBe(true);
    expect(gateway.lines().some(({ msg }) => msg.startsWith("a worker ended by itself"))).toBe(false);
  });
});

describe("the health port", { timeout: 120_000 }, () => {
  test("has a health port of its own where it is asked for", async () => {
    const port = await freePort();
    const server = { listen: "127.0.0.1:0", listen_admin: "127.0.0.1:0", listen_health: `127.0.0.1:${port}` };
    const { adminUrl } = await start({ server });
    const look = async () => `${(await fetch(`http://127.0.0.1:${port}/healthz`)).status}`;
    expect(await look()).toBe("200");
    expect(await (await fetch(`${adminUrl}/metrics`)).text()).toContain("dragoman_event_loop_stalls_total");
  });

  test("P4: with workers, the health port is the primary's: one worker that hangs is not yet a stall, all are", async () => {
    const port = await freePort();
    const gateway = await startWorkers({ config: { server: { listen_health: `127.0.0.1:${port}` } } });
    closers.push(() => gateway.close());
    const look = async () => `${(await fetch(`http://127.0.0.1:${port}/healthz`)).status}`;
    const [one = 0, two = 0] = [...gateway.workers().values()];
    await until(async () => (await look()) === "200");
    process.kill(one, "SIGSTOP");
    process.kill(two, "SIGSTOP");
    await until(async () => (await look()) === "503");
    process.kill(two, "SIGCONT");
    await until(async () => (await look()) === "200");
    process.kill(one, "SIGCONT");
  });
});

/** The first bytes of the answer to a request whose body never comes. */
function answerToHead(url: string, path: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = net.connect(Number(port), hostname, () =>
      socket.write(`POST ${path} HTTP/1.1\r\nhost: ${hostname}\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n`),
    );
    closers.push(() => socket.destroy());
    socket.once("data", (bytes) => resolve(String(bytes)));
    socket.once("error", reject);
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = net.createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as net.AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
