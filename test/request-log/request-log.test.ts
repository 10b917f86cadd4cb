/** The log over a real store in memory: agents, pruning, bodies that are cut, a store that is away. */
import { create } from "@bufbuild/protobuf";
import { describe, expect, onTestFinished, test } from "vitest";
import { AttributionSchema, CallOptionsSchema, Retention } from "../../gen/dragoman/v1/call_pb.ts";
import { BlockKind, GenerateRequestSchema, Role } from "../../gen/dragoman/v1/generate_pb.ts";
import type { Call } from "../../src/core/call.ts";
import type { Clock } from "../../src/core/clock.ts";
import { GatewayError } from "../../src/core/error.ts";
import { EventBuilder } from "../../src/core/event.ts";
import { ulid } from "../../src/core/id.ts";
import { silentLog } from "../../src/core/log.ts";
import { createPrincipal } from "../../src/core/principal.ts";
import type { Stores } from "../../src/core/stores.ts";
import { createRedactor } from "../../src/redaction/redactor.ts";
import { createRequestLog, type RequestLogOptions, type RunningRequestLog } from "../../src/request-log/request-log.ts";
import { createStores } from "../../src/stores/create-stores.ts";

class MovableClock implements Clock {
  time = 1_700_000_000_000;
  now = () => this.time;
  wall = () => this.time;
}

const dayMs = 86_400_000;

interface Scene {
  readonly stores: Stores;
  readonly requestLog: RunningRequestLog;
  readonly clock: MovableClock;
}

async function open(changed: Partial<RequestLogOptions> = {}): Promise<Scene> {
  const clock = new MovableClock();
  const stores = await createStores({
    engine: "memory",
    dataDir: "",
    databaseUrl: undefined,
    migrateOnStart: false,
    responses: { maxBytes: 0, ttlMs: 1 },
    clock,
    log: silentLog,
  });
  const requestLog = createRequestLog({
    store: stores.requestLog,
    callerAgents: stores.callerAgents,
    redactor: createRedactor(),
    retention: { byDefault: "none", max: "full" },
    queue: { maxRecords: 1_000, maxBytes: 10_000_000, flushMs: 10_000 },
    prune: { everyMs: 60_000_000, maxAgeMs: 30 * dayMs, maxContentAgeMs: 7 * dayMs, maxBytes: 100_000_000 },
    maxBodyLength: 10_000,
    maxAgentsPerTenant: 200,
    clock,
    log: silentLog,
    ...changed,
  });
  onTestFinished(async () => {
    await requestLog.close();
    await stores.close();
  });
  return { stores, requestLog, clock };
}

const text = (value: string) => ({ part: { case: "text" as const, value } });
const request = create(GenerateRequestSchema, { model: "m", messages: [{ role: Role.USER, parts: [text("hello")] }] });

function callOf(facts: Partial<Call> & { tenant?: string; agent?: string; retention?: Retention } = {}): Call {
  const { tenant = "default", agent = "", retention = Retention.UNSPECIFIED, ...rest } = facts;
  return {
    requestId: ulid(),
    clientRequestId: "",
    operation: "complete",
    surface: "v1",
    dialect: "openai-chat",
    principal: createPrincipal({ id: "key-1", scopes: new Set(["*"]), tenant }),
    signal: new AbortController().signal,
    startedAt: 0,
    deadline: 0,
    traceparent: "",
    attribution: create(AttributionSchema, { callerAgent: agent }),
    options: create(CallOptionsSchema, { retention }),
    attempts: [],
    translation: [],
    targets: [],
    maxAttempts: 1,
    route: "",
    ...rest,
  };
}

function answer(requestLog: RunningRequestLog, call: Call, said = "an answer"): void {
  const recorder = requestLog.begin(call, request);
  const events = new EventBuilder();
  const block = events.startBlock(0, BlockKind.TEXT);
  for (const piece of said.match(/.{1,500}/gs) ?? []) events.text(0, block, piece);
  events.endBlock(0, block);
  recorder.see(events.take());
  recorder.end(undefined, undefined, 0);
}

const everything = { size: 1_000 };

describe("the request log", () => {
  test("leaves one record a call, however often its end is told", async () => {
    const { requestLog, stores } = await open();
    const recorder = requestLog.begin(callOf(), request);
    recorder.end(undefined, undefined, 0);
    recorder.end(undefined, new GatewayError("internal", "again"), 0);
    await requestLog.flush();
    expect((await stores.requestLog.query("default", {}, everything)).items).toMatchObject([{ status: "success" }]);
  });

  test.each([
    ["timeout", "timeout", 504],
    ["cancelled", "cancelled", 499],
    ["guardrail_blocked", "blocked", 400],
    ["policy_blocked", "blocked", 403],
    ["rate_limited", "error", 429],
    ["forbidden", "error", 403],
  ] as const)("%s is %s", async (reason, status, httpStatus) => {
    const { requestLog, stores } = await open();
    requestLog.refused(callOf(), "m", new GatewayError(reason, "no"));
    await requestLog.flush();
    const { items } = await stores.requestLog.query("default", {}, everything);
    expect(items).toMatchObject([{ status, httpStatus, errorCode: reason, requestedModel: "m" }]);
  });

  test("says which kind of credential it was, and of which app", async () => {
    const { requestLog, stores } = await open();
    const facts = { scopes: new Set(["*"] as const), tenant: "default" };
    requestLog.refused(
      callOf({ principal: createPrincipal({ ...facts, id: "k", app: "shop", owner: "ada" }) }),
      "",
      new GatewayError("forbidden", ""),
    );
    requestLog.refused(
      callOf({ principal: createPrincipal({ ...facts, id: "oidc:1", kind: "oidc" }) }),
      "",
      new GatewayError("forbidden", ""),
    );
    await requestLog.flush();
    const { items } = await stores.requestLog.query("default", {}, everything);
    expect(items.map(({ subjectType, policyKey, keyId, user }) => [subjectType, policyKey, keyId, user]).toSorted()).toEqual([
      ["app", "shop", "k", "ada"],
      ["oidc", "", "", ""],
    ]);
  });

  test("a tenant may be allowed more of its content, and kept for less time and in fewer bytes", async () => {
    const { requestLog, stores, clock } = await open({
      retention: { byDefault: "none", max: "metadata" },
      tenants: new Map([
        ["full", { byDefault: "full" as const, max: "full" as const }],
        ["short", { maxAgeMs: dayMs }],
        ["small", { maxBytes: 3_000 }],
      ]),
    });
    for (const tenant of ["full", "short", "small", "default"])
      for (let count = 0; count < 5; count++) answer(requestLog, callOf({ tenant }));
    answer(requestLog, callOf({ retention: Retention.FULL }));
    await requestLog.flush();
    const kept = async (tenant: string) => (await stores.requestLog.query(tenant, {}, everything)).items.map(({ retention }) => retention);
    expect(await kept("full")).toEqual(Array(5).fill("full"));
    expect((await kept("default")).toSorted()).toEqual(["metadata", ...Array(5).fill("none")]);
    clock.time += 2 * dayMs;
    await requestLog.prune();
    expect(await kept("short")).toEqual([]);
    expect((await kept("small")).length).toBeLessThan(5);
    expect(await kept("full")).toHaveLength(5);
    expect(await kept("default")).toHaveLength(6);
  });

  test("makes 200 agents of a tenant by their calls, and logs the others", async () => {
    const { requestLog, stores } = await open();
    for (let index = 0; index < 205; index++) answer(requestLog, callOf({ agent: `agent-${index}` }));
    answer(requestLog, callOf({ agent: "agent-0", tenant: "other" }));
    await requestLog.flush();
    expect((await stores.callerAgents.list("default", everything)).items).toHaveLength(200);
    expect((await stores.callerAgents.list("other", everything)).items).toHaveLength(1);
    expect(await stores.requestLog.count("default", {})).toBe(205);
  });

  test("notes when an agent called last", async () => {
    const { requestLog, stores, clock } = await open();
    answer(requestLog, callOf({ agent: "agent" }));
    await requestLog.flush();
    clock.time += 5_000;
    answer(requestLog, callOf({ agent: "agent" }));
    await requestLog.flush();
    expect((await stores.callerAgents.getByKey("default", "agent"))?.lastSeenAt).toBe(clock.time);
  });

  test("a record stands although its agent cannot be noted", async () => {
    const failing = { register: () => Promise.reject(new Error("no")), touch: () => Promise.reject(new Error("no")) };
    const { requestLog, stores } = await open({ callerAgents: failing });
    answer(requestLog, callOf({ agent: "agent" }));
    await requestLog.flush();
    expect(await stores.requestLog.count("default", {})).toBe(1);
  });

  test("keeps a long answer up to its length", async () => {
    const { requestLog, stores } = await open({ maxBodyLength: 2_000 });
    const call = callOf({ retention: Retention.FULL });
    answer(requestLog, call, "word ".repeat(10_000));
    await requestLog.flush();
    const content = (await stores.requestLog.get("default", call.requestId))?.content;
    expect(content?.responseBody.length).toBeGreaterThan(1_000);
    expect(content?.responseBody.length).toBeLessThan(2_500);
    expect(JSON.parse(content?.responseBody ?? "")).toMatchObject({ cut: true });
  });

  test("keeps how large a picture was, not the picture", async () => {
    const { requestLog, stores } = await open();
    const call = callOf({ retention: Retention.FULL });
    const image = {
      part: {
        case: "image" as const,
        value: { mimeType: "image/png", source: { case: "data" as const, value: new Uint8Array(5_000).fill(65) } },
      },
    };
    const parts = [image, { part: { case: "toolResult" as const, value: { toolCallId: "1", content: [image] } } }];
    requestLog
      .begin(call, create(GenerateRequestSchema, { model: "m", messages: [{ role: Role.USER, parts }] }))
      .end(undefined, undefined, 0);
    await requestLog.flush();
    const body = (await stores.requestLog.get("default", call.requestId))?.content?.requestBody ?? "";
    expect(body.match(/\[5000 bytes\]/g)).toHaveLength(2);
    expect(body).not.toContain("QUFBQUFB");
  });

  test("throws away contents, then records, by age", async () => {
    const { requestLog, stores, clock } = await open();
    const call = callOf({ retention: Retention.METADATA });
    answer(requestLog, call);
    await requestLog.flush();
    clock.time += 8 * dayMs;
    await requestLog.prune();
    expect(await stores.requestLog.get("default", call.requestId)).toMatchObject({ content: undefined, record: { retention: "metadata" } });
    clock.time += 30 * dayMs;
    await requestLog.prune();
    expect(await stores.requestLog.get("default", call.requestId)).toBeUndefined();
  });

  test("throws the oldest away, by number and by size", async () => {
    const prune = { everyMs: 60_000_000, maxAgeMs: 30 * dayMs, maxContentAgeMs: 30 * dayMs, maxBytes: 100_000_000 };
    const byNumber = await open({ prune: { ...prune, maxRecords: 3 } });
    const bySize = await open({ prune: { ...prune, maxBytes: 200_000 } });
    for (const { requestLog, stores, clock } of [byNumber, bySize]) {
      const ids: string[] = [];
      for (let index = 0; index < 150; index++) {
        const call = callOf();
        ids.push(call.requestId);
        clock.time += 1_000;
        answer(requestLog, call);
      }
      await requestLog.flush();
      await requestLog.prune();
      const left = (await stores.requestLog.query("default", {}, everything)).items.map(({ requestId }) => requestId);
      expect(left.length).toBeGreaterThan(0);
      expect(left.length).toBeLessThan(140);
      expect(left).toEqual(ids.slice(-left.length).toReversed());
    }
    expect(await byNumber.stores.requestLog.count("default", {})).toBe(3);
  });

  test("a store that is away keeps nobody waiting, and what waited is written when it is back", async () => {
    const { stores } = await open();
    let isAway = true;
    const store = {
      prune: stores.requestLog.prune,
      append: (requests: Parameters<typeof stores.requestLog.append>[0]) =>
        isAway ? Promise.reject(new GatewayError("store_unavailable", "away")) : stores.requestLog.append(requests),
    };
    const { requestLog } = await open({ store, queue: { maxRecords: 5, maxBytes: 1_000_000, flushMs: 10_000 } });
    for (let index = 0; index < 8; index++) answer(requestLog, callOf());
    await requestLog.flush();
    expect(requestLog).toMatchObject({ waiting: 5, dropped: 3 });
    isAway = false;
    await requestLog.flush();
    expect(await stores.requestLog.count("default", {})).toBe(5);
  });

  test("tells who listens when records were written", async () => {
    const { requestLog } = await open();
    let told = 0;
    const stop = requestLog.onWritten(() => told++);
    answer(requestLog, callOf());
    await requestLog.flush();
    stop();
    answer(requestLog, callOf());
    await requestLog.flush();
    expect(told).toBe(1);
  });
});
