/** Limits as clients meet them: on every surface, over several workers, over processes that share a Redis. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { LimitService, LimitSubject } from "../../gen/dragoman/admin/v1/limit_service_pb.ts";
import { Role } from "../../gen/dragoman/v1/generate_pb.ts";
import { InferenceService } from "../../gen/dragoman/v1/inference_service_pb.ts";
import { QuotaFailureSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { expectHeld, type TimedCall } from "../limits/admissions.ts";
import { hasRedisServer, type RedisServer, startRedis } from "../limits/redis-server.ts";
import { type Gateway, startGateway } from "./gateway.ts";

const hello = [{ role: "user", content: "Hello" }];

async function post(
  url: string,
  path: string,
  body: object,
  headers: Record<string, string> = {},
  signal?: AbortSignal,
): Promise<Response> {
  return fetch(url + path, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
    ...(signal === undefined ? {} : { signal }),
  });
}

function chat(url: string, more: object = {}, headers: Record<string, string> = {}): Promise<Response> {
  return post(url, "/v1/chat/completions", { model: "sim/echo", messages: hello, ...more }, headers);
}

describe("in one process", () => {
  let gateway: Gateway;
  const limit = (rules: object[]) => startGateway({ config: { limits: { rules } } });

  afterEach(() => gateway.close());

  test("success tells what is left, refusal says when to come back, in every dialect's envelope", async () => {
    gateway = await limit([{ subject: "key", requests_per_minute: 3, tokens_per_minute: 100_000 }]);
    const first = await chat(gateway.url);
    expect(first.status).toBe(200);
    expect(first.headers.get("x-ratelimit-limit-requests")).toBe("3");
    expect(first.headers.get("x-ratelimit-remaining-requests")).toBe("2");
    expect(first.headers.get("x-ratelimit-reset-requests")).toMatch(/^1m[01]s$/);
    expect(Number(first.headers.get("x-ratelimit-remaining-tokens"))).toBeLessThan(100_000);
    const streamed = await chat(gateway.url, { stream: true });
    expect(streamed.headers.get("x-ratelimit-remaining-requests")).toBe("1");
    await streamed.text();
    await (await chat(gateway.url)).text();

    const refused = await chat(gateway.url, { stream: true });
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
    expect(refused.headers.get("x-ratelimit-remaining-requests")).toBe("0");
    expect(await refused.json()).toMatchObject({ error: { type: "rate_limit" }, error_kind: "rate_limited" });

    const anthropic = await post(gateway.url, "/v1/messages", { model: "sim/echo", max_tokens: 5, messages: hello });
    expect([anthropic.status, ((await anthropic.json()) as { error: { type: string } }).error.type]).toEqual([429, "rate_limit_error"]);
    const google = await post(gateway.url, "/v1beta/models/sim/echo:generateContent", { contents: [{ parts: [{ text: "Hello" }] }] });
    expect([google.status, ((await google.json()) as { error: { status: string } }).error.status]).toEqual([429, "RESOURCE_EXHAUSTED"]);
  });

  test("RPC clients get headers, RetryInfo and QuotaFailure", async () => {
    gateway = await limit([{ subject: "tenant", requests_per_minute: 1 }]);
    const client = createClient(InferenceService, createConnectTransport({ baseUrl: gateway.url, httpVersion: "1.1" }));
    const request = { model: "sim/echo", messages: [{ role: Role.USER, parts: [{ part: { case: "text" as const, value: "Hello" } }] }] };
    let header: Headers | undefined;
    for await (const _ of client.generate(request, { onHeader: (headers) => (header = headers) }));
    expect(header?.get("x-ratelimit-remaining-requests")).toBe("0");
    const refused = ConnectError.from(await client.complete({ generate: request }).catch((thrown: unknown) => thrown));
    expect(refused.code).toBe(Code.ResourceExhausted);
    expect(refused.findDetails(QuotaFailureSchema)[0]?.violations).toMatchObject([{ subject: "tenant/requests_per_minute" }]);
    expect(refused.findDetails(RetryInfoSchema)[0]?.retryDelay?.seconds).toBeGreaterThanOrEqual(1n);
    expect(Number(refused.metadata.get("retry-after"))).toBeGreaterThanOrEqual(1);
  });

  test("a call holds its slot until its stream ends, and an aborted one gives it back", async () => {
    gateway = await limit([{ subject: "key", concurrency: 4 }]);
    const admin = createClient(LimitService, createConnectTransport({ baseUrl: gateway.adminUrl, httpVersion: "1.1" }));
    const remaining = async (): Promise<bigint | undefined> =>
      (await admin.getLimitUsage({ call: { key: "anonymous" } })).usages[0]?.remaining;
    const slow = [{ role: "user", content: JSON.stringify({ sim_script: { steps: [{ text: "first" }, { delay_ms: 20_000 }] } }) }];
    for (let round = 0; round < 5; round++) {
      const stop = new AbortController();
      const streams = Array.from({ length: 4 }, () =>
        post(gateway.url, "/v1/chat/completions", { model: "chat/sim-script", stream: true, messages: slow }, {}, stop.signal).catch(
          () => undefined,
        ),
      );
      await vi.waitFor(async () => expect(await remaining()).toBe(0n), { timeout: 5_000, interval: 10 });
      const refused = await chat(gateway.url);
      expect(refused.status).toBe(429);
      expect(refused.headers.get("x-dragoman-error-reason")).toBe("concurrency_limit_exceeded");
      expect([refused.headers.get("retry-after"), refused.headers.get("x-ratelimit-limit-requests")]).toEqual(["1", "4"]);
      expect(refused.headers.get("x-ratelimit-remaining-requests")).toBe("0");
      stop.abort();
      await Promise.all(streams);
      await vi.waitFor(async () => expect(await remaining()).toBe(4n), { timeout: 5_000, interval: 10 });
    }
    expect((await chat(gateway.url)).status).toBe(200);
  });

  test("failed calls give their tokens back; end users count each by themselves", async () => {
    gateway = await limit([{ subject: "end_user", tokens_per_minute: 2_000 }]);
    for (let call = 0; call < 5; call++) {
      expect((await chat(gateway.url, { model: "chat/sim-status-400", user: "ann" })).status).toBe(400);
    }
    expect((await chat(gateway.url, { user: "ann", max_tokens: 2_000 })).status).toBe(200);
    expect((await chat(gateway.url, { user: "ben", max_tokens: 2_000 })).status).toBe(200);
  });

  test("listing models and counting tokens are requests, and need neither tokens nor money", async () => {
    gateway = await limit([{ subject: "key", requests_per_minute: 5, tokens_per_minute: 1, usd_per_day: "0.000000001" }]);
    expect((await chat(gateway.url)).status).toBe(200);
    expect((await chat(gateway.url)).status, "nothing is left of the tokens").toBe(429);
    const count = () => post(gateway.url, "/v1/messages/count_tokens", { model: "sim/echo", messages: hello });
    const list = () => fetch(`${gateway.url}/v1/models`);
    expect((await count()).headers.get("x-ratelimit-remaining-requests")).toBe("3");
    expect((await list()).headers.get("x-ratelimit-remaining-requests")).toBe("2");
    const client = createClient(InferenceService, createConnectTransport({ baseUrl: gateway.url, httpVersion: "1.1" }));
    expect((await client.listModels({})).models.length).toBeGreaterThan(0);
    expect((await count()).status).toBe(200);
    for (const refused of [await count(), await list()]) {
      expect([refused.status, Number(refused.headers.get("retry-after")) >= 1]).toEqual([429, true]);
      expect(refused.headers.get("x-ratelimit-remaining-requests")).toBe("0");
    }
    const error = ConnectError.from(await client.listModels({}).catch((thrown: unknown) => thrown));
    expect([error.code, error.findDetails(QuotaFailureSchema)[0]?.violations[0]?.subject]).toEqual([
      Code.ResourceExhausted,
      "key/requests_per_minute",
    ]);
  });

  test("owners are limited over all their keys, and have no budgets", async () => {
    gateway = await startGateway();
    const admin = createClient(LimitService, createConnectTransport({ baseUrl: gateway.adminUrl, httpVersion: "1.1" }));
    const wanted = { id: "people", subject: LimitSubject.OWNER, requestsPerMinute: 60n, concurrency: 10n };
    expect((await admin.createLimit({ limit: wanted })).limit).toMatchObject(wanted);
    const { usages } = await admin.getLimitUsage({ call: { key: "anonymous", owner: "ada" } });
    expect(usages.map(({ field, subjectId, remaining }) => [field, subjectId, remaining])).toEqual([
      ["requests_per_minute", "ada", 60n],
      ["concurrency", "ada", 10n],
    ]);
    const budget = { subject: LimitSubject.OWNER, costNanoUsdPerDay: 1n };
    const refused = await admin.createLimit({ limit: budget }).catch((thrown: unknown) => ConnectError.from(thrown));
    expect(refused).toMatchObject({ code: Code.InvalidArgument, rawMessage: expect.stringContaining("cannot be set for owner") });
  });

  test("administrators set limits that hold at once, and change, reset and end them", async () => {
    gateway = await startGateway();
    const admin = createClient(LimitService, createConnectTransport({ baseUrl: gateway.adminUrl, httpVersion: "1.1" }));
    const { limit: made } = await admin.createLimit({ limit: { id: "few", subject: LimitSubject.KEY, requestsPerMinute: 1n } });
    expect(made).toMatchObject({ id: "few", enabled: true, requestsPerMinute: 1n });
    expect((await chat(gateway.url)).status).toBe(200);
    expect((await chat(gateway.url)).status).toBe(429);
    expect(await admin.resetLimitUsage({ call: { key: "anonymous" } })).toMatchObject({ usages: [{ limitId: "few", remaining: 1n }] });
    expect((await chat(gateway.url)).status).toBe(200);

    const stale = await admin
      .updateLimit({
        limit: { id: "few", subject: LimitSubject.KEY, requestsPerMinute: 5n },
        updateMask: { paths: ["requests_per_minute"] },
        etag: "9-9",
      })
      .catch((thrown: unknown) => ConnectError.from(thrown).code);
    expect(stale).toBe(Code.Aborted);
    const { limit: more } = await admin.updateLimit({
      limit: { id: "few", subject: LimitSubject.KEY, requestsPerMinute: 2n },
      updateMask: { paths: ["requests_per_minute"] },
      etag: made?.etag ?? "",
    });
    expect(more?.requestsPerMinute).toBe(2n);
    expect((await chat(gateway.url)).status).toBe(200);
    expect((await chat(gateway.url)).status).toBe(429);
    expect((await admin.listLimits({})).limits.map(({ id }) => id)).toEqual(["few"]);
    await admin.deleteLimit({ id: "few" });
    expect((await chat(gateway.url)).status).toBe(200);
    const empty = await admin
      .createLimit({ limit: { id: "none", subject: LimitSubject.KEY } })
      .catch((thrown: unknown) => ConnectError.from(thrown).code);
    expect(empty).toBe(Code.InvalidArgument);
  });

  test("several machines that share nothing do not start with a limit that cannot hold", async () => {
    gateway = await startGateway();
    const rules = [{ subject: "key", requests_per_minute: 10 }];
    await expect(startGateway({ config: { limits: { machines: 2, rules } } })).rejects.toThrow(
      /share no Redis.*shared_state_gone: local-share/,
    );
    const shared = await startGateway({ config: { limits: { machines: 2, rules: [{ ...rules[0], shared_state_gone: "local-share" }] } } });
    expect((await chat(shared.url)).headers.get("x-ratelimit-limit-requests")).toBe("5");
    await shared.close();
  });
});

/** The program as a process. */
interface Started {
  readonly url: string;
  readonly adminUrl: string;
  readonly process: ChildProcess;
}

describe("over processes", { timeout: 240_000 }, () => {
  const started: ChildProcess[] = [];
  const stops: (() => Promise<unknown>)[] = [];
  const directory = mkdtempSync(join(tmpdir(), "dragoman-limits-"));

  afterEach(async () => {
    await Promise.all(stops.splice(0).map((stop) => stop()));
    for (const child of started.splice(0)) {
      const gone = once(child, "exit");
      if (child.exitCode === null && child.kill("SIGKILL")) await gone;
    }
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  /** Workers keep records in a file that they share. */
  const workerStores = { stores: { engine: "sqlite" }, data_dir: join(directory, "data") };

  async function start(config: object, args: readonly string[] = [], env: Record<string, string> = {}): Promise<Started> {
    const file = join(directory, `dragoman-${started.length}-${Math.random()}.json`);
    const server = { listen: "127.0.0.1:0", listen_admin: "127.0.0.1:0", drain_notice_seconds: 0 };
    writeFileSync(
      file,
      JSON.stringify({
        server,
        discovery: { enabled: false },
        local_embeddings: { enabled: false },
        // How busy the test's machine is decides nothing here.
        admission: { overload: { event_loop_ms: 0 } },
        log_level: "error",
        stores: { engine: "memory" },
        ...config,
      }),
    );
    const main = join(import.meta.dirname, "../../src/main.ts");
    const child = spawn(process.execPath, [main, "serve", "--config", file, ...args], {
      env: { PATH: process.env.PATH, ...env },
      cwd: directory,
      stdio: ["ignore", "pipe", "inherit"],
    });
    started.push(child);
    let out = "";
    child.stdout?.on("data", (text) => {
      out += text;
    });
    await vi.waitFor(() => expect(out).toMatch(/admin {2}http/), { timeout: 120_000, interval: 50 });
    const urlOf = (port: string) => new RegExp(`${port} +(http://[^ ]+)`).exec(out)?.[1] ?? "";
    return { url: urlOf("data"), adminUrl: urlOf("admin"), process: child };
  }

  interface Load {
    readonly calls: readonly TimedCall[];
    /** Begins no more calls; resolves when all are over. */
    stop(): Promise<readonly TimedCall[]>;
  }

  /** Asks as fast as it can, four at once of each address over connections of their own. A call that had no answer has status 0. */
  function offer(urls: readonly string[]): Load {
    const calls: TimedCall[] = [];
    let over = false;
    const loops = urls.flatMap((url) =>
      Array.from({ length: 4 }, async () => {
        const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
        while (!over) {
          const startedAt = performance.now();
          const status = await ask(url, agent);
          calls.push({ startedAt, endedAt: performance.now(), status });
          await pause(5);
        }
        agent.destroy();
      }),
    );
    const stop = async (): Promise<readonly TimedCall[]> => {
      over = true;
      await Promise.all(loops);
      return calls;
    };
    stops.push(stop);
    return { calls, stop };
  }

  function ask(url: string, agent: http.Agent): Promise<number> {
    return new Promise((resolve) => {
      const headers = { "content-type": "application/json" };
      const request = http.request(`${url}/v1/chat/completions`, { method: "POST", agent, headers }, (response) => {
        response.resume().on("end", () => resolve(response.statusCode ?? 0));
      });
      request.on("error", () => resolve(0));
      request.end(JSON.stringify({ model: "sim/echo", messages: hello }));
    });
  }

  const perSecond = 20;
  const rules = [{ subject: "tenant", requests_per_second: perSecond, shared_state_gone: "local-share" }];
  const limit = { limit: perSecond, windowMs: 1_000 };

  /** Offers more than the limit until it was let in four windows long. */
  async function expectRate(urls: readonly string[]): Promise<void> {
    // What came before must not count.
    await pause(1_200);
    const { calls, stop } = offer(urls);
    const admitted = () => calls.filter(({ status }) => status === 200).length;
    await vi.waitFor(() => expect(admitted()).toBeGreaterThanOrEqual(4 * perSecond), { timeout: 30_000, interval: 20 });
    expectHeld(await stop(), limit);
  }

  test("L7: one process admits 97 to 101 %", async () => {
    const { url } = await start({ limits: { rules } });
    await chat(url);
    await expectRate([url]);
  });

  test("L7: two workers without Redis admit 97 to 101 % together", async () => {
    const { url } = await start({ limits: { rules }, ...workerStores }, ["--workers", "2"]);
    await Promise.all([chat(url), chat(url)]);
    await expectRate([url, url]);
  });

  describe.skipIf(!hasRedisServer)("that share a Redis", () => {
    let redis: RedisServer;
    beforeAll(async () => {
      redis = await startRedis();
      return () => redis.close();
    });

    const startTwo = (limits: object) =>
      Promise.all([0, 1].map(() => start({ limits, redis: { command_timeout_ms: 2_000 } }, [], { REDIS_URL: redis.url.reveal() })));

    test("L7: two admit 97 to 101 % together", async () => {
      const two = await startTwo({ machines: 2, rules });
      await Promise.all(two.map(({ url }) => chat(url)));
      await expectRate(two.map(({ url }) => url));
    });

    test("R2, R4: none loses a request or a caller while Redis is killed, and all say so", async () => {
      // Each may admit half of it alone, which is more than any machine asks.
      const two = await startTwo({ machines: 2, rules: [{ ...rules[0], requests_per_second: 1_000_000_000 }] });
      const { calls, stop } = offer(two.map(({ url }) => url));
      const goesOn = async (): Promise<void> => {
        const before = calls.length;
        await vi.waitFor(() => expect(calls.length).toBeGreaterThan(before + 50), { timeout: 20_000, interval: 20 });
      };
      await goesOn();
      await redis.kill();
      const become = (state: object) =>
        vi.waitFor(
          async () => {
            for (const { adminUrl } of two) expect(await (await fetch(`${adminUrl}/readyz`)).json()).toEqual(state);
          },
          { timeout: 10_000, interval: 20 },
        );
      await become({ status: "degraded", away: ["redis"] });
      await goesOn();
      await redis.start();
      await become({ status: "ready" });
      await goesOn();
      expect((await stop()).filter(({ status }) => status !== 200)).toEqual([]);
    });
  });
});
