/** reliability.md 4.5 and promise 9 over several workers: every test here starts processes and ends them. */
import { readFileSync } from "node:fs";
import http from "node:http";
import http2 from "node:http2";
import { availableParallelism } from "node:os";
import { afterEach, describe, expect, test } from "vitest";
import { expectHeld, type TimedCall } from "../limits/admissions.ts";
import { Scrape } from "../telemetry/prometheus-text.ts";
import {
  type Asking,
  ask,
  first,
  isAlive,
  last,
  quickScript,
  type Reply,
  slowScript,
  startWorkers,
  until,
  type WorkerGateway,
} from "./worker-gateway.ts";

const opened: WorkerGateway[] = [];

afterEach(() => {
  for (const gateway of opened.splice(0)) gateway.close();
});

async function start(...args: Parameters<typeof startWorkers>): Promise<WorkerGateway> {
  const gateway = await startWorkers(...args);
  opened.push(gateway);
  return gateway;
}

/** Who answered, by the log of attempts. */
function answerers(gateway: WorkerGateway): Set<number> {
  return new Set(gateway.lines().flatMap(({ msg, pid }) => (msg === "attempt" ? [pid] : [])));
}

/** Streams that have begun, as many on each of the two workers: connections take turns. */
async function beginStreams(gateway: WorkerGateway, count: number, delayMs: number): Promise<Asking[]> {
  const streams = Array.from({ length: count }, () => ask(gateway.url, slowScript(delayMs), { stream: true }));
  await until(() => streams.every((stream) => stream.sofar().includes(first)));
  return streams;
}

function isWhole({ status, body, error }: Reply): boolean {
  return status === 200 && error === undefined && body.includes(last) && body.trimEnd().endsWith("data: [DONE]");
}

/** Asks again and again over connections that are kept, until told to end; gives what failed. */
function offerLoad(gateway: WorkerGateway, clients: number): { end(): Promise<{ readonly count: number; readonly failed: Reply[] }> } {
  const failed: Reply[] = [];
  let count = 0;
  let over = false;
  const loops = Array.from({ length: clients }, async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    while (!over) {
      const reply = await ask(gateway.url, quickScript, { agent }).reply;
      count++;
      if (reply.status !== 200 || reply.error !== undefined) failed.push(reply);
    }
    agent.destroy();
  });
  return {
    async end() {
      over = true;
      await Promise.all(loops);
      return { count, failed };
    },
  };
}

describe("several workers", { timeout: 180_000 }, () => {
  test("take turns behind one data port and one admin port, over HTTP/1.1 and h2c", async () => {
    const gateway = await start();
    for (let call = 0; call < 4; call++) expect((await ask(gateway.url, quickScript).reply).status).toBe(200);
    await until(() => answerers(gateway).size === 2);
    expect([...answerers(gateway)].sort()).toEqual([...gateway.workers().values()].sort());
    expect([await getStatus(`${gateway.adminUrl}/readyz`), await getStatus(`${gateway.adminUrl}/readyz`)]).toEqual([200, 200]);
    expect(await getOverHttp2(gateway.url)).toBe(200);
    expect(await getOverHttp2(gateway.url)).toBe(200);
    expect(gateway.out()).toContain("2 workers");
  });

  test("one that is killed takes only its own calls with it, and comes back", async () => {
    const gateway = await start();
    const streams = await beginStreams(gateway, 8, 3_000);
    const load = offerLoad(gateway, 4);
    const [victim = 0, other] = [...gateway.workers().values()];
    process.kill(victim, "SIGKILL");
    const replies = await Promise.all(streams.map(({ reply }) => reply));
    await until(() => gateway.workers().size === 2);
    const { count, failed } = await load.end();

    expect(replies.filter(isWhole)).toHaveLength(4);
    expect(replies.filter(({ error }) => error !== undefined)).toHaveLength(4);
    expect(count).toBeGreaterThan(20);
    // A client of the dead worker loses the call that ran, and at most one more on a connection that was just handed over.
    expect(failed.length).toBeLessThanOrEqual(8);
    expect(gateway.workers().get(2)).toBe(other);
    expect(gateway.workers().get(1)).not.toBe(victim);
    expect((await ask(gateway.url, quickScript).reply).status).toBe(200);
  });

  test("P5: one that ends again and again waits longer each time, and leaves the other alone", async () => {
    const gateway = await start();
    const other = gateway.workers().get(1);
    for (let end = 1; end <= 3; end++) {
      await until(() => gateway.workers().size === 2);
      process.kill(gateway.workers().get(2) ?? 0, "SIGKILL");
      await until(() => gateway.lines().filter(({ msg }) => msg.startsWith("a worker ended by itself")).length === end);
      expect((await ask(gateway.url, quickScript).reply).status).toBe(200);
    }
    const waits = gateway.lines().flatMap(({ msg, after_ms }) => (msg.startsWith("a worker ended by itself") ? [after_ms] : []));
    expect(waits).toEqual([100, 200, 400]);
    expect(gateway.workers().get(1)).toBe(other);
  });

  test("connections wait while no worker is there", async () => {
    const gateway = await start();
    for (const pid of gateway.workers().values()) process.kill(pid, "SIGKILL");
    await until(() => gateway.workers().size === 0);
    const replies = await Promise.all([1, 2, 3, 4].map(() => ask(gateway.url, quickScript).reply));
    expect(replies.map(({ status, error }) => error ?? status)).toEqual([200, 200, 200, 200]);
  });

  test("P1: SIGTERM lets running streams end on every worker and exits 0", async () => {
    const gateway = await start();
    const streams = await beginStreams(gateway, 8, 1_500);
    gateway.primary.kill("SIGTERM");
    const replies = await Promise.all(streams.map(({ reply }) => reply));
    expect(replies.filter(isWhole)).toHaveLength(8);
    expect(await gateway.ended).toEqual({ code: 0, signal: null });
    const pids = gateway.lines().flatMap(({ worker_pid: pid }) => (pid === undefined ? [] : [pid]));
    expect(pids.filter(isAlive)).toEqual([]);
  });

  test("P2: a second signal ends running streams in words", async () => {
    const gateway = await start();
    const streams = await beginStreams(gateway, 4, 60_000);
    gateway.primary.kill("SIGTERM");
    await until(() => gateway.lines().filter(({ msg }) => msg === "draining").length === 2);
    await new Promise((resolve) => setTimeout(resolve, 600)); // a signal that follows at once is the same one
    gateway.primary.kill("SIGTERM");
    const replies = await Promise.all(streams.map(({ reply }) => reply));
    for (const { body } of replies) expect(body).toContain("shutting down");
    expect((await gateway.ended).code).toBe(0);
  });

  test("SIGUSR2 replaces every worker under load, and nothing is lost", async () => {
    const gateway = await start();
    const before = [...gateway.workers().values()];
    const streams = await beginStreams(gateway, 4, 6_000);
    const load = offerLoad(gateway, 4);
    gateway.primary.kill("SIGUSR2");
    await until(() => gateway.lines().some(({ msg }) => msg === "all workers are new"));
    await until(() => before.every((pid) => !isAlive(pid)));
    const { count, failed } = await load.end();
    expect(failed).toEqual([]);
    expect(count).toBeGreaterThan(20);
    expect((await Promise.all(streams.map(({ reply }) => reply))).filter(isWhole)).toHaveLength(4);
    const after = [...gateway.workers().values()];
    expect(after).toHaveLength(2);
    expect(after.filter((pid) => before.includes(pid))).toEqual([]);
  });

  test("hold a limit together", async () => {
    const limit = 40;
    const gateway = await start({ config: { limits: { rules: [{ subject: "tenant", requests_per_minute: limit }] } } });
    const calls: TimedCall[] = [];
    const clients = Array.from({ length: 8 }, async () => {
      for (let call = 0; call < limit * 10; call += 8) {
        const startedAt = performance.now();
        const { status } = await ask(gateway.url, quickScript).reply;
        calls.push({ startedAt, endedAt: performance.now(), status });
      }
    });
    await Promise.all(clients);
    expectHeld(calls, { limit, windowMs: 60_000 });
    await until(() => answerers(gateway).size === 2);
  });

  test("answer for each other: metrics of all, and a streamed response that another worker gives", async () => {
    const gateway = await start();
    for (let call = 0; call < 6; call++) await ask(gateway.url, quickScript).reply;
    const [one, two] = [await getText(`${gateway.adminUrl}/metrics`), await getText(`${gateway.adminUrl}/metrics`)];
    for (const text of [one, two]) expect(sumOf(text, "dragoman_requests_total")).toBeGreaterThanOrEqual(6);

    const stream = await startResponse(gateway.url, slowScript(60_000));
    const named = `${gateway.url}/v1/responses/${stream.id}`;
    // Connections take turns: of two, one reaches the worker that does not have it.
    for (let turn = 0; turn < 2; turn++) expect(JSON.parse(await getText(named))).toMatchObject({ id: stream.id, status: "in_progress" });
    // The stream took one turn, these two the next ones: this one is the other worker's.
    const cancelled = await fetch(`${named}/cancel`, { method: "POST", headers: { connection: "close" } });
    expect(await cancelled.json()).toMatchObject({ id: stream.id, status: "cancelled" });
    await stream.ended;
  });

  test("counters never fall: not when a worker is killed, and not when all are replaced", async () => {
    const gateway = await start();
    const count = async () => {
      const found = new Scrape(await getText(`${gateway.adminUrl}/metrics`));
      const stats = JSON.parse(await getText(`${gateway.adminUrl}/statsz`)) as { models: Record<string, { requests: number }> };
      const ofModels = Object.values(stats.models).reduce((sum, { requests }) => sum + requests, 0);
      return [found.sum("dragoman_requests_total"), found.sum("dragoman_upstream_request_duration_seconds_count"), ofModels];
    };
    for (let call = 0; call < 6; call++) await ask(gateway.url, quickScript).reply;
    await until(async () => (await count()).every((counted) => counted === 6));
    const [victim = 0] = [...gateway.workers().values()];
    process.kill(victim, "SIGKILL");
    await until(() => gateway.workers().size === 1);
    expect(await count()).toEqual([6, 6, 6]);
    await until(() => gateway.workers().size === 2);
    for (let call = 0; call < 4; call++) await ask(gateway.url, quickScript).reply;
    gateway.primary.kill("SIGUSR2");
    await until(() => gateway.lines().some(({ msg }) => msg === "all workers are new"));
    await until(() => gateway.lines().filter(({ msg }) => msg === "a worker has ended").length === 2);
    expect(await count()).toEqual([10, 10, 10]);
  });

  test.skipIf(availableParallelism() < 2)("auto is one for each core", async () => {
    const gateway = await start({ workers: "auto" });
    await until(() => gateway.workers().size === availableParallelism());
    expect(gateway.out()).toContain(`${availableParallelism()} workers`);
  });

  test("SIGHUP is ignored with a line in the log", async () => {
    const gateway = await start();
    gateway.primary.kill("SIGHUP");
    await until(() => gateway.lines().some(({ msg }) => msg === "a signal is ignored"));
    expect((await ask(gateway.url, quickScript).reply).status).toBe(200);
  });

  test("no worker outlives a primary that ends while the worker is loaded", async () => {
    const gateway = await start({ unready: true });
    const child = await new Promise<number>((resolve) => {
      const look = setInterval(() => {
        const [pid] = childrenOf(gateway.primary.pid ?? 0);
        if (pid === undefined) return;
        clearInterval(look);
        resolve(pid);
      }, 1);
    });
    gateway.primary.kill("SIGKILL");
    await until(
      () => !isAlive(child),
      () => "a worker outlives its primary",
    );
  });

  test("no worker outlives a primary that is killed", async () => {
    const gateway = await start();
    const pids = [...gateway.workers().values()];
    await beginStreams(gateway, 2, 60_000);
    gateway.primary.kill("SIGKILL");
    await until(
      () => pids.every((pid) => !isAlive(pid)),
      () => "a worker outlives its primary",
    );
  });
});

describe("a wrong configuration", { timeout: 120_000 }, () => {
  test("that only a worker can see is told once, and the exit code is kept", async () => {
    const gateway = await start({ unready: true, config: { providers: { mine: { type: "azure-openai", api_key: "sk-a-key-of-mine" } } } });
    expect(await gateway.ended).toEqual({ code: 78, signal: null });
    expect(gateway.errorText().match(/The configuration has a problem/g)).toHaveLength(1);
    expect(gateway.errorText()).toContain("providers.mine");
    expect(gateway.lines()).toEqual([]);
    expect(gateway.out()).toBe("");
  });

  test("with stores that workers cannot share is refused", async () => {
    const gateway = await start({ unready: true, config: { stores: { engine: "memory" } } });
    expect(await gateway.ended).toEqual({ code: 78, signal: null });
    expect(gateway.errorText()).toContain("stores.engine: is memory, which workers do not share");
  });

  test("of the number of workers says what would be right", async () => {
    const gateway = await start({ unready: true, workers: 0 });
    expect(await gateway.ended).toEqual({ code: 78, signal: null });
    expect(gateway.errorText()).toContain("--workers: server.workers: is no number of workers; write 1 to 256, or auto");
  });
});

/** Process ids, where the system tells; Linux does. */
function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

async function getText(url: string): Promise<string> {
  return (await fetch(url, { headers: { connection: "close" } })).text();
}

/** Over all labels. */
function sumOf(metrics: string, name: string): number {
  const values = metrics
    .split("\n")
    .flatMap((line) => (line.startsWith(`${name}{`) || line.startsWith(`${name} `) ? [Number(line.split(" ").at(-1))] : []));
  return values.reduce((sum, value) => sum + value, 0);
}

/** A stream of OpenAI Responses that has begun. */
function startResponse(url: string, input: string): Promise<{ readonly id: string; readonly ended: Promise<void> }> {
  return new Promise((resolve, reject) => {
    const request = http.request(`${url}/v1/responses`, { method: "POST", headers: { "content-type": "application/json" }, agent: false });
    const ended = new Promise<void>((end) => request.once("close", end));
    request.on("error", reject);
    request.on("response", (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("error", () => {});
      response.on("data", (piece) => {
        text += piece;
        const id = /"id":"(resp_[^"]+)"/.exec(text)?.[1];
        if (id !== undefined) resolve({ id, ended });
      });
    });
    request.end(JSON.stringify({ model: "sim/script", input, stream: true }));
  });
}

async function getStatus(url: string): Promise<number> {
  return (await fetch(url, { headers: { connection: "close" } })).status;
}

function getOverHttp2(url: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const session = http2.connect(url);
    session.on("error", reject);
    const stream = session.request({ ":path": "/healthz" });
    stream.on("response", (headers) => {
      session.close();
      resolve(Number(headers[":status"]));
    });
    stream.on("error", reject);
    stream.resume();
    stream.end();
  });
}
