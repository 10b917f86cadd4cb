/**
 * Redis and PostgreSQL stopped, slow and restarted under load (reliability.md 4.3 and 4.4): the whole gateway over real
 * sockets, keys and records in PostgreSQL, limits in Redis. No call is lost, nobody is turned away as a stranger, every
 * call that was billed has its row.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { KeyService } from "../../gen/dragoman/admin/v1/key_service_pb.ts";
import { LimitService } from "../../gen/dragoman/admin/v1/limit_service_pb.ts";
import { installer, KeyAdministration, plainKey } from "../../src/access/key-administration.ts";
import { makeKeyParts, writeKey } from "../../src/access/key-format.ts";
import { createPepper } from "../../src/access/pepper.ts";
import { keyCacheLimits } from "../../src/access/stored-keys.ts";
import { systemClock } from "../../src/core/clock.ts";
import type { LedgerRow } from "../../src/core/ledger-row.ts";
import { silentLog } from "../../src/core/log.ts";
import { Secret } from "../../src/core/secret.ts";
import type { Stores } from "../../src/core/stores.ts";
import { createStores } from "../../src/stores/create-stores.ts";
import { hasRedisServer, type RedisServer, startRedis } from "../limits/redis-server.ts";
import { type PostgresServer, startPostgresServer, whyNoPostgres } from "../stores/postgres-server.ts";
import { type Gateway, startGateway } from "./gateway.ts";
import { type LoadCall, type SteadyLoad, startLoad, userOfCall } from "./steady-load.ts";

const missing = hasRedisServer ? whyNoPostgres() : "no redis-server";
if (missing !== undefined) console.log(`skipped: outages of Redis and PostgreSQL: ${missing}`);

const pepper = "pepper-of-the-outage-tests-0123456789";
const configuredKey = "key-of-the-configuration-0123456789";
/** Each key meets one kind of rule; `limited` calls twice as often as the others. */
const ids = { plain: "outageplain0", limited: "outagelimit0", budget: "outagebudget", admin: "outageadmin0" };
const perSecond = 8;
/** One process of two that share the limits, so while Redis is away it may let half of them in. */
const share = perSecond / 2;
/** Promised are 2 s; a busy machine has its own pace. */
const recoveryMs = 5_000;
const rules = [
  { subject: "key", id: ids.plain, concurrency: 500, requests_per_second: 5_000 },
  { subject: "key", id: ids.limited, requests_per_second: perSecond, shared_state_gone: "local-share" },
  { subject: "key", id: ids.budget, usd_per_day: "1000" },
];

describe.skipIf(missing !== undefined)("outages under load", { timeout: 90_000 }, () => {
  let postgres: PostgresServer;
  let redis: RedisServer;
  let databaseUrl: string;
  let directory: string;
  let stores: Stores;
  let keys: Record<keyof typeof ids, string>;
  let gateway: Gateway;
  let load: SteadyLoad | undefined;

  beforeAll(async () => {
    [postgres, redis] = await Promise.all([startPostgresServer(), startRedis()]);
    directory = mkdtempSync(join(tmpdir(), "dragoman-outage-"));
    databaseUrl = await postgres.createDatabase();
    stores = await createStores({
      engine: "postgres",
      dataDir: directory,
      databaseUrl: new Secret(databaseUrl),
      poolSize: 2,
      migrateOnStart: true,
      responses: { maxBytes: 0, ttlMs: 1 },
      clock: systemClock,
      log: silentLog,
    });
    const administration = new KeyAdministration({
      keys: stores.keys,
      pepper: () => createPepper(new Secret(pepper)),
      clock: systemClock,
    });
    const issued = await Promise.all(
      Object.entries(ids).map(async ([name, id]) => {
        const facts = { ...plainKey, name, roles: [name === "admin" ? ("admin" as const) : ("member" as const)] };
        return [name, (await administration.create("default", facts, installer, "live", id)).secret.reveal()] as const;
      }),
    );
    keys = Object.fromEntries(issued) as typeof keys;
  });
  afterAll(async () => {
    await stores?.close();
    await redis?.close();
    await postgres?.remove();
    if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
  });
  afterEach(async () => {
    await load?.stop();
    load = undefined;
    await gateway?.close();
  });

  const start = (auth: object = {}) =>
    startGateway({
      config: {
        auth: { enabled: true, pepper, ...auth },
        data_dir: directory,
        stores: { engine: "postgres", database_url: databaseUrl, migrate_on_start: true },
        redis: { url: redis.url.reveal() },
        ledger: { reserve_bytes: 0 },
        limits: { machines: 2, rules },
        local_embeddings: { enabled: false },
        prices: ["chat", "claude"].map((provider) => ({ provider, model: "*", rates: { input: "3", output: "15" } })),
      },
    });

  const begin = (): SteadyLoad => {
    const { plain, limited, budget } = keys;
    load = startLoad(gateway.url, { plain, limited, budget, "limited again": limited });
    return load;
  };

  async function readyz(): Promise<unknown> {
    const response = await fetch(`${gateway.adminUrl}/readyz`);
    return { ...((await response.json()) as object), http: response.status };
  }
  const becomes = (state: object, timeout = 8_000) =>
    vi.waitFor(async () => expect(await readyz()).toEqual({ http: 200, ...state }), { timeout, interval: 20 });
  const ready = { status: "ready" };
  const without = (...away: string[]) => ({ status: "degraded", away });

  function chat(key: string, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(`${gateway.url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${key}`, ...headers },
      body: JSON.stringify({ model: "sim/echo", messages: [{ role: "user", content: "Hello" }] }),
    });
  }
  const reasonOf = (response: Response) => [response.status, response.headers.get("x-dragoman-error-reason")];

  /** Nobody is lost or taken for a stranger, and every refusal is one that its caller's rule allows. */
  function expectNoneLost(calls: readonly LoadCall[], allowed: Readonly<Record<string, readonly string[]>>): void {
    expect(calls.filter(({ status, wellFormed }) => status === 0 || !wellFormed)).toEqual([]);
    const refusals = calls.filter(({ status }) => status !== 200).map(({ by, status, reason }) => `${by}: ${status} ${reason}`);
    const expected = Object.entries(allowed).flatMap(([by, answers]) => answers.map((answer) => `${by}: ${answer}`));
    expect([...new Set(refusals)].filter((refusal) => !expected.includes(refusal))).toEqual([]);
  }
  const limitReached = { limited: ["429 rate_limited"], "limited again": ["429 rate_limited"] };

  const between = (calls: readonly LoadCall[], from: number, until: number) =>
    calls.filter(({ startedAt, endedAt }) => startedAt >= from && endedAt <= until);
  const admitted = (calls: readonly LoadCall[]) => calls.filter(({ by, status }) => by.startsWith("limited") && status === 200).length;
  const answered = (calls: readonly LoadCall[], by: string) => calls.filter((call) => call.by === by && call.status === 200).length;

  /** Waits until more than five calls of each key that began after a moment were answered. */
  const goesOn = (calls: readonly LoadCall[], from: number, keys: readonly string[]) =>
    vi.waitFor(
      () => {
        for (const by of keys) expect(answered(between(calls, from, Number.POSITIVE_INFINITY), by), by).toBeGreaterThan(5);
      },
      { timeout: 15_000, interval: 20 },
    );

  /** Every call that the simulator billed has one row with the same counts, and there are no others. */
  async function expectBooksAgree(calls: readonly LoadCall[]): Promise<void> {
    await gateway.sim.settled();
    const bill = gateway.sim.bill();
    const texts = new Map(gateway.sim.requests().map(({ id, body }) => [id, JSON.stringify(body)]));
    const billed = new Map(bill.map((row) => [/outage-\d{5}/.exec(texts.get(row.id) ?? "")?.[0], row]));
    expect(billed.size).toBe(bill.length);
    const users = new Set(calls.map(({ number }) => userOfCall(number)));
    await vi.waitFor(async () => expect((await rowsOf(users)).length).toBeGreaterThanOrEqual(bill.length), {
      timeout: 15_000,
      interval: 200,
    });
    const rows = await rowsOf(users);
    expect(rows.map(({ endUser }) => endUser).sort()).toEqual([...billed.keys()].sort());
    const wrong = rows.filter(({ endUser, usage }) => {
      const row = billed.get(endUser);
      return usage?.inputTokens !== row?.inputTokens || (usage?.outputTokens ?? 0) !== row?.outputTokens;
    });
    expect(wrong).toEqual([]);
    // A refused change that could not be noted stands in the log instead.
    const errors = gateway.lines.filter(({ level, message }) => level === "error" && !message.includes("audit log"));
    expect(errors).toEqual([]);
  }

  async function rowsOf(users: ReadonlySet<string>): Promise<LedgerRow[]> {
    const rows: LedgerRow[] = [];
    for (let cursor: string | undefined; ; ) {
      const page = await stores.ledger.scan("default", { from: startedAt }, { size: 1_000, cursor });
      rows.push(...page.items.filter(({ endUser }) => users.has(endUser)));
      if (page.next === undefined) return rows;
      cursor = page.next;
    }
  }
  let startedAt = 0;

  test("R2, R3, R4: Redis is killed, restarted, and stands still", async () => {
    startedAt = Date.now();
    gateway = await start();
    await becomes(ready);
    const { calls } = begin();
    const marks = [performance.now()];
    const mark = () => marks.push(performance.now());
    await goesOn(calls, 0, ["budget"]);

    await redis.kill();
    await becomes(without("redis"));
    mark();
    await pause(2_000);
    await goesOn(calls, marks[1] ?? 0, ["plain", "limited"]);
    mark();
    await redis.start();
    const back = performance.now();
    await becomes(ready, recoveryMs);
    const recovered = [performance.now() - back];
    await goesOn(calls, back, ["budget"]);

    redis.freeze();
    await becomes(without("redis"));
    await pause(2_000);
    redis.thaw();
    const thawed = performance.now();
    await becomes(ready, recoveryMs);
    recovered.push(performance.now() - thawed);
    await goesOn(calls, thawed, ["budget"]);
    await load?.stop();
    console.log(`Redis was found again after ${recovered.map(Math.round).join(" and ")} ms`);

    expectNoneLost(calls, { ...limitReached, budget: ["503 store_unavailable"] });
    const [first = 0, away = 0, restarted = 0] = marks;
    const dark = between(calls, away, restarted);
    expect(answered(dark, "plain"), "what is not closed goes on").toBeGreaterThan(5);
    expect(answered(dark, "budget"), "money is closed").toBe(0);
    expect(admitted(dark)).toBeGreaterThan(0);
    expect(admitted(dark)).toBeLessThanOrEqual(share * ((restarted - away) / 1_000 + 1) + perSecond);
    // A Redis that was restarted has forgotten one window.
    expect(admitted(calls)).toBeLessThanOrEqual(perSecond * ((performance.now() - first) / 1_000 + 2));
    await expectBooksAgree(calls);

    const admin = createClient(LimitService, createConnectTransport({ baseUrl: gateway.adminUrl, httpVersion: "1.1" }));
    const headers = { authorization: `Bearer ${keys.admin}` };
    await vi.waitFor(
      async () => {
        const { usages } = await admin.getLimitUsage({ call: { key: ids.plain } }, { headers });
        expect(usages.find(({ field }) => field === "concurrency")?.remaining, "no slot is left over").toBe(500n);
      },
      { timeout: 5_000, interval: 50 },
    );
  });

  test("R1, S6: both are away at the start, and come later", async () => {
    await Promise.all([redis.kill(), postgres.stop()]);
    startedAt = Date.now();
    gateway = await start({ api_key: configuredKey });
    // Limits may stand in a store that nobody has read yet: nothing is ready before they are known.
    await vi.waitFor(async () => expect(await readyz()).toEqual({ http: 503, status: "unready", unenforceable: ["stored limits"] }));
    expect((await chat(configuredKey)).status, "the configuration's key needs no store").toBe(200);
    expect(reasonOf(await chat(keys.plain))).toEqual([503, "store_unavailable"]);
    await postgres.start();
    await becomes(without("redis"), 20_000);
    expect((await chat(keys.plain)).status).toBe(200);
    expect(reasonOf(await chat(keys.budget)), "money is closed").toEqual([503, "store_unavailable"]);
    await redis.start();
    await becomes(ready);
    const { calls } = begin();
    await goesOn(calls, 0, ["budget"]);
    await load?.stop();
    expectNoneLost(calls, { ...limitReached, budget: ["503 store_unavailable"] });
    await expectBooksAgree(calls);
    const sums = await stores.ledger.sum("default", { from: startedAt, provider: "sim" }, { by: ["principal"] });
    expect(
      sums.map(({ attempts }) => attempts),
      "one each of two keys, one of them while there was no store",
    ).toEqual([1, 1]);
  });

  describe("PostgreSQL", () => {
    const usual = { ...keyCacheLimits };
    // Known keys must be looked up again while it is away.
    beforeAll(() => void Object.assign(keyCacheLimits, { freshMs: 500, restMs: 200 }));
    afterAll(() => void Object.assign(keyCacheLimits, usual));

    const strangers = () => writeKey(makeKeyParts("live"));

    test.each(["stopped", "frozen"])("S6: is %s, and comes back", async (how) => {
      startedAt = Date.now();
      gateway = await start();
      await becomes(ready);
      expect((await chat(keys.admin)).status).toBe(200);
      expect(reasonOf(await chat(strangers()))).toEqual([401, "unauthenticated"]);
      const { calls } = begin();
      await goesOn(calls, 0, ["budget"]);

      if (how === "stopped") await postgres.stop();
      else postgres.freeze();
      await becomes(without("postgres"));
      const away = performance.now();
      await pause(1_500);
      expect(reasonOf(await chat(strangers())), "nobody can tell whether this is a key").toEqual([503, "store_unavailable"]);
      expect(reasonOf(await chat("dgm_live_no-key-at-all")), "this is none, whatever the store says").toEqual([401, "unauthenticated"]);
      expect(reasonOf(await chat(keys.plain, { "idempotency-key": `once-${how}` }))).toEqual([503, "store_unavailable"]);
      const admin = createClient(KeyService, createConnectTransport({ baseUrl: gateway.adminUrl, httpVersion: "1.1" }));
      const headers = { authorization: `Bearer ${keys.admin}` };
      for (const ask of [() => admin.listKeys({}, { headers }), () => admin.createKey({ key: { name: "late" } }, { headers })]) {
        const refused = ConnectError.from(await ask().catch((thrown: unknown) => thrown));
        expect([refused.code, refused.metadata.get("x-dragoman-error-reason")]).toEqual([Code.Unavailable, "store_unavailable"]);
      }
      await goesOn(calls, away, ["plain", "limited", "budget"]);
      const until = performance.now();
      if (how === "stopped") await postgres.start();
      else postgres.thaw();
      await becomes(ready);
      await pause(500);
      await load?.stop();

      expectNoneLost(calls, { ...limitReached, budget: ["503 store_unavailable"] });
      const dark = between(calls, away, until);
      for (const by of ["plain", "limited", "budget"]) expect(answered(dark, by), by).toBeGreaterThan(5);
      await expectBooksAgree(calls);
      await expectEveryCallRecorded(calls);
      expect((await admin.listKeys({}, { headers })).keys.length).toBeGreaterThanOrEqual(Object.keys(ids).length);
    });

    /** In the request log, or counted as one that had no room. */
    async function expectEveryCallRecorded(calls: readonly LoadCall[]): Promise<void> {
      const users = new Set(calls.map(({ number }) => userOfCall(number)));
      await vi.waitFor(
        async () => {
          const recorded = new Set<string>();
          for (let cursor: string | undefined; ; ) {
            const page = await stores.requestLog.query("default", { from: startedAt }, { size: 1_000, cursor });
            for (const { endUser } of page.items) if (users.has(endUser)) recorded.add(endUser);
            if (page.next === undefined) break;
            cursor = page.next;
          }
          const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
          const dropped = Number(/^dragoman_capture_dropped_total(?:\{.*\})? (\d+)$/m.exec(metrics)?.[1] ?? Number.NaN);
          expect(recorded.size + dropped).toBe(users.size);
        },
        { timeout: 15_000, interval: 200 },
      );
    }
  });
});
