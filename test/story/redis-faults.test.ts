/**
 * What Redis does wrong, and what a client must never notice of it (reliability.md 4.3): the gateway over real sockets, with
 * keys, a rate limit of a share, and a budget that is closed. Nobody is taken for a stranger, no call is lost, all is well
 * again within seconds of Redis's return.
 */
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { type RedisNodes, startRedisCluster, startRedisSentinel, whyNoCluster } from "../limits/redis-ports.ts";
import { hasRedisServer, type RedisServer, startRedis } from "../limits/redis-server.ts";
import { type Gateway, startGateway } from "./gateway.ts";

const admin = "key-of-the-redis-tests-0123456789";
/** Promised are 2 s; a busy machine has its own pace. */
const recoveryMs = 10_000;
const rules = [
  { subject: "key", requests_per_minute: 1_000_000 },
  { subject: "model", id: "budgeted", usd_per_day: "1000" },
];

interface Answer {
  readonly budgeted: boolean;
  readonly status: number;
  readonly reason: string | null;
}

interface Load {
  readonly answers: readonly Answer[];
  stop(): Promise<readonly Answer[]>;
}

let gateway: Gateway | undefined;
let load: Load | undefined;
afterEach(async () => {
  await load?.stop();
  load = undefined;
  await gateway?.close();
  gateway = undefined;
});

async function start(redis: object): Promise<Gateway> {
  gateway = await startGateway({
    config: {
      auth: { enabled: true, api_key: admin },
      limits: { machines: 2, rules },
      redis: { command_timeout_ms: 200, ...redis },
      aliases: { budgeted: "sim/echo" },
      local_embeddings: { enabled: false },
    },
  });
  return gateway;
}

async function ask(budgeted: boolean, key = admin): Promise<Answer> {
  const init = { method: "POST", headers: { "content-type": "application/json", authorization: `Bearer ${key}` } };
  const messages = [{ role: "user", content: "Hello" }];
  try {
    const body = JSON.stringify({ model: budgeted ? "budgeted" : "sim/echo", messages });
    const response = await fetch(`${gateway?.url}/v1/chat/completions`, { ...init, body, signal: AbortSignal.timeout(15_000) });
    const whole = /"finish_reason":\s*"stop"/.test(await response.text());
    const status = response.status === 200 && !whole ? 0 : response.status;
    return { budgeted, status, reason: response.headers.get("x-dragoman-error-reason") };
  } catch {
    return { budgeted, status: 0, reason: null };
  }
}

/** Two callers that ask again and again, one of them of a model with a budget. */
function begin(): Load {
  const answers: Answer[] = [];
  let over = false;
  const loops = [false, true].map(async (budgeted) => {
    while (!over) {
      answers.push(await ask(budgeted));
      await pause(5);
    }
  });
  load = {
    answers,
    async stop() {
      over = true;
      await Promise.all(loops);
      return answers;
    },
  };
  return load;
}

async function becomes(state: "ready" | "degraded"): Promise<void> {
  const wanted = state === "ready" ? { status: "ready" } : { status: "degraded", away: ["redis"] };
  await vi.waitFor(async () => expect(await (await fetch(`${gateway?.adminUrl}/readyz`)).json()).toEqual(wanted), {
    timeout: recoveryMs,
    interval: 20,
  });
}

/** Waits for answers of a kind to calls that begin from now on, but for the two that run. */
async function sees(kind: Partial<Answer>, many = 10): Promise<void> {
  const from = (load?.answers.length ?? 0) + 2;
  await vi.waitFor(() => expect(load?.answers.slice(from).filter((answer) => matches(answer, kind)).length).toBeGreaterThan(many), {
    timeout: recoveryMs,
    interval: 20,
  });
}

const matches = (answer: Answer, kind: Partial<Answer>) =>
  Object.entries(kind).every(([name, value]) => answer[name as keyof Answer] === value);

/** While Redis is away, and while it is found out, money is closed; nothing else is. */
async function expectNothingLost(): Promise<void> {
  const wrong = ((await load?.stop()) ?? []).filter(
    (answer) => answer.status !== 200 && !matches(answer, { budgeted: true, status: 503, reason: "store_unavailable" }),
  );
  expect(wrong).toEqual([]);
}

describe.skipIf(!hasRedisServer)("one Redis", () => {
  let redis: RedisServer;
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis?.close());
  beforeEach(() => redis.run("FLUSHALL"));

  interface Fault {
    readonly begin: () => unknown;
    readonly end: () => unknown;
  }
  const faults: Record<string, Fault> = {
    "R2, R4: that is killed and restarted": { begin: () => redis.kill(), end: () => redis.start() },
    "R3: that stands still": { begin: () => redis.freeze(), end: () => redis.thaw() },
    "R3: that answers after seconds": {
      begin: () => redis.run("CLIENT", "PAUSE", "60000", "WRITE"),
      end: () => pause(2_000).then(() => redis.run("CLIENT", "UNPAUSE")),
    },
    "R6: that only reads": {
      begin: () => redis.run("REPLICAOF", "127.0.0.1", "1"),
      end: () => redis.run("REPLICAOF", "NO", "ONE"),
    },
    "R6: that has no memory left": {
      begin: async () => {
        await redis.run("CONFIG", "SET", "maxmemory-policy", "noeviction");
        await redis.run("CONFIG", "SET", "maxmemory", "1");
      },
      end: () => redis.run("CONFIG", "SET", "maxmemory", "0"),
    },
  };

  test.each(Object.entries(faults))("%s costs nobody a call, and is used again when it is well", async (_, fault) => {
    await start({ url: redis.url.reveal() });
    await becomes("ready");
    begin();
    await sees({ status: 200, budgeted: true });
    try {
      await fault.begin();
      await becomes("degraded");
      await sees({ status: 200, budgeted: false });
      await sees({ status: 503, budgeted: true });
    } finally {
      await fault.end();
    }
    await becomes("ready");
    await sees({ status: 200, budgeted: true });
    await expectNothingLost();
    const changes = gateway?.lines.filter(({ message }) => message.startsWith("the shared state of the limits")) ?? [];
    expect(changes.length, "one line per change, not one per call").toBeLessThanOrEqual(8);
    expect((await ask(false, "dgm_live_no-key-at-all")).status).toBe(401);
  });

  test("R6, R7: that forgets its scripts, and then everything, is used on", async () => {
    await start({ url: redis.url.reveal() });
    await becomes("ready");
    begin();
    await sees({ status: 200, budgeted: true });
    await redis.run("SCRIPT", "FLUSH");
    await sees({ status: 200, budgeted: true });
    await redis.run("FLUSHALL");
    await sees({ status: 200, budgeted: true });
    expect(((await load?.stop()) ?? []).filter(({ status }) => status !== 200)).toEqual([]);
    expect(await redis.run("KEYS", "dragoman:limit:{default}:*")).not.toEqual([]);
  });

  test("with another password is away, is said to be, and is used when the password is right", async () => {
    await redis.run("CONFIG", "SET", "requirepass", "the right one");
    try {
      await start({ url: redis.url.reveal() });
      await becomes("degraded");
      const line = gateway?.lines.find(({ message }) => message.startsWith("the shared state of the limits is away"));
      expect(String(line?.fields.error)).toMatch(/NOAUTH|WRONGPASS|Authentication/);
      begin();
      await sees({ status: 200, budgeted: false });
      await sees({ status: 503, budgeted: true });
    } finally {
      await redis.runAs("the right one", "CONFIG", "SET", "requirepass", "");
    }
    await becomes("ready");
    await sees({ status: 200, budgeted: true });
    await expectNothingLost();
  });
});

describe.skipIf(whyNoCluster !== undefined)("several", { timeout: 90_000 }, () => {
  let nodes: RedisNodes | undefined;
  afterEach(async () => {
    await nodes?.close();
    nodes = undefined;
  });

  test("R3, R6: as a cluster hold limits, and a node that stands still costs nobody a call", async () => {
    nodes = await startRedisCluster();
    await start({ url: nodes.url });
    await becomes("ready");
    begin();
    await sees({ status: 200, budgeted: true });
    const keys = await Promise.all(nodes.nodes.map(async ({ run }) => ((await run("KEYS", "*")) as string[]).length));
    expect(
      keys.filter((count) => count > 0),
      "a tenant's counters are on one node",
    ).toHaveLength(1);
    const holder = nodes.nodes[keys.findIndex((count) => count > 0)];
    holder?.process.kill("SIGSTOP");
    try {
      await becomes("degraded");
      await sees({ status: 200, budgeted: false });
    } finally {
      holder?.process.kill("SIGCONT");
    }
    await becomes("ready");
    await sees({ status: 200, budgeted: true });
    await expectNothingLost();
  });

  test("R6: behind sentinels go over to the replica when the primary dies", async () => {
    nodes = await startRedisSentinel("limits");
    await start({ url: nodes.url, sentinel: "limits" });
    await becomes("ready");
    begin();
    await sees({ status: 200, budgeted: true });
    const [primary, replica] = nodes.nodes;
    primary?.process.kill("SIGKILL");
    await becomes("degraded");
    await vi.waitFor(async () => expect(String(await replica?.run("ROLE"))).toMatch(/^master/), { timeout: 30_000, interval: 50 });
    await becomes("ready");
    await sees({ status: 200, budgeted: true });
    await expectNothingLost();
  });
});
