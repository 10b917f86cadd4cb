import { create, equals } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { MessageSchema, Role } from "../../gen/dragoman/v1/generate_pb.ts";
import { UsageBasis, UsageSchema } from "../../gen/dragoman/v1/usage_pb.ts";
import type { Page, PageRequest } from "../../src/core/page.ts";
import { everyTenant } from "../../src/core/price-store.ts";
import { allTenants } from "../../src/stores/database.ts";
import { describeEngines, openBareDatabase, openTestStores, TestClock } from "./engines.ts";
import { auditEntry, intentFor, keyFor, ledgerRow, logged, someTime } from "./records.ts";

/** Every item of a list, page by page; `between` runs after each page. */
async function readAll<Item>(list: (page: PageRequest) => Promise<Page<Item>>, size: number, between = async () => {}): Promise<Item[]> {
  const items: Item[] = [];
  let cursor: string | undefined;
  do {
    const page = await list({ size, cursor });
    expect(page.items.length).toBeLessThanOrEqual(size);
    items.push(...page.items);
    cursor = page.next;
    await between();
  } while (cursor !== undefined);
  return items;
}

describeEngines("stores", (engine) => {
  async function open(clock = new TestClock()) {
    const place = await engine.newPlace();
    return { place, clock, stores: await openTestStores(place, clock) };
  }

  test("tenants and projects are made once, changed under their etag, and listed in order", async () => {
    const { stores, clock } = await open();
    const facts = { name: "Acme", timeZone: "Europe/Vienna", enabled: true, settingsJson: '{"a":1}' };
    const made = await stores.tenants.create("acme", facts);
    expect(made).toMatchObject({ id: "acme", ...facts, createdAt: clock.time });
    expect(await stores.tenants.get("acme")).toEqual(made);
    await expect(stores.tenants.create("acme", facts)).rejects.toMatchObject({ reason: "already_exists" });

    clock.time += 5;
    const changed = await stores.tenants.update("acme", { name: "ACME" }, made.etag);
    expect(changed).toMatchObject({ name: "ACME", timeZone: "Europe/Vienna", updatedAt: clock.time, createdAt: made.createdAt });
    await expect(stores.tenants.update("acme", { name: "late" }, made.etag)).rejects.toMatchObject({ reason: "etag_mismatch" });
    await expect(stores.tenants.update("acme", { name: "late" }, "junk'; --")).rejects.toMatchObject({ reason: "etag_mismatch" });
    await expect(stores.tenants.update("none", { name: "x" })).rejects.toMatchObject({ reason: "not_found" });

    const project = { name: "Search", enabled: true, settingsJson: "{}" };
    for (const id of ["c", "a", "b"]) await stores.projects.create("acme", id, project);
    await stores.projects.create("other", "a", project);
    const names = await readAll((page) => stores.projects.list("acme", page), 2);
    expect(names.map(({ tenant, id }) => `${tenant}/${id}`)).toEqual(["acme/a", "acme/b", "acme/c"]);
    expect((await stores.projects.update("acme", "a", { enabled: false })).enabled).toBe(false);
    expect((await stores.projects.get("other", "a"))?.enabled).toBe(true);
  });

  test("keys come back as they were given, and every change but use is seen by a poll", async () => {
    const { stores, clock } = await open();
    expect([await stores.keys.isEmpty(), await stores.keys.version()]).toEqual([true, 0]);
    const given = keyFor("k1", {
      roles: ["admin", "viewer"],
      models: ["fast", "a/b"],
      ipAllow: ["10.0.0.0/8"],
      expiresAt: someTime + 1_000,
    });
    const made = await stores.keys.create("acme", given);
    expect(made).toMatchObject({ ...given, tenant: "acme", version: 1, revokedAt: undefined, lastUsedAt: undefined });
    expect(await stores.keys.findById("k1")).toEqual(made);
    expect(await stores.keys.get("acme", "k1")).toEqual(made);
    expect(await stores.keys.get("other", "k1")).toBeUndefined();
    await expect(stores.keys.create("other", given)).rejects.toMatchObject({ reason: "already_exists" });

    await stores.keys.touch([
      { tenant: "acme", id: "k1", at: someTime + 9 },
      { tenant: "other", id: "k1", at: someTime + 99 },
      { tenant: "acme", id: "k1", at: someTime + 3 },
    ]);
    expect(await stores.keys.findById("k1")).toEqual({ ...made, lastUsedAt: someTime + 9 });

    clock.time += 1;
    const revoked = await stores.keys.update("acme", "k1", { revokedAt: clock.time }, made.etag);
    expect(revoked).toMatchObject({ revokedAt: clock.time, expiresAt: someTime + 1_000, roles: ["admin", "viewer"] });
    expect((await stores.keys.update("acme", "k1", { expiresAt: undefined })).expiresAt).toBeUndefined();
    await stores.keys.create("other", keyFor("k2"));
    const changes = await stores.keys.changesSince(made.version, 10);
    expect(changes.map(({ id }) => id)).toEqual(["k1", "k2"]);
    expect(await stores.keys.changesSince(await stores.keys.version(), 10)).toEqual([]);
    expect(await stores.keys.isEmpty()).toBe(false);
  });

  test("a change that is refused moves no version", async () => {
    const { stores } = await open();
    await stores.keys.create("acme", keyFor("k1"));
    const before = await stores.keys.version();
    await expect(stores.keys.update("acme", "none", { enabled: false })).rejects.toMatchObject({ reason: "not_found" });
    await expect(stores.keys.create("acme", keyFor("k1"))).rejects.toMatchObject({ reason: "already_exists" });
    expect(await stores.keys.version()).toBe(before);
  });

  test("only imported keys are found by their SHA-256", async () => {
    const { stores } = await open();
    const hash = "ab".repeat(32);
    await stores.keys.create("acme", keyFor("keyed", { hash }));
    expect(await stores.keys.findBySha256(hash)).toBeUndefined();
    await stores.keys.create("acme", keyFor("imported", { hash, hashKind: "sha256" }));
    expect((await stores.keys.findBySha256(hash))?.id).toBe("imported");
    await expect(stores.keys.create("other", keyFor("twice", { hash, hashKind: "sha256" }))).rejects.toMatchObject({
      reason: "already_exists",
    });
  });

  test("X12: a search takes %, _ and backslash as they are, and no case of letters", async () => {
    const { stores } = await open();
    const names = { a: "100% sure", b: "1000 sure", c: "snake_case", d: "snakeXcase", e: "back\\slash", f: "BACKSLASH" };
    for (const [id, name] of Object.entries(names)) await stores.keys.create("acme", keyFor(id, { name }));
    const found = async (search: string) => (await stores.keys.list("acme", { search }, { size: 10 })).items.map(({ id }) => id).sort();
    expect(await found("00%")).toEqual(["a"]);
    expect(await found("E_C")).toEqual(["c"]);
    expect(await found("k\\s")).toEqual(["e"]);
    expect(await found("SURE")).toEqual(["a", "b"]);
    expect(await found("'; DROP TABLE api_keys; --")).toEqual([]);
    expect((await stores.keys.list("acme", { hashPrefix: "%" }, { size: 10 })).items).toEqual([]);
    expect((await stores.keys.list("acme", { idPrefix: "c" }, { size: 10 })).items.map(({ id }) => id)).toEqual(["c"]);
  });

  test("pages neither repeat nor skip while others insert and remove", async () => {
    const { stores, clock } = await open();
    for (let index = 0; index < 25; index++) {
      clock.time = someTime + Math.floor(index / 3);
      await stores.keys.create("acme", keyFor(`k${String(index).padStart(2, "0")}`));
    }
    let inserted = 0;
    const seen = await readAll(
      (page) => stores.keys.list("acme", {}, page),
      4,
      async () => {
        clock.time = someTime + 1_000 + inserted;
        await stores.keys.create("acme", keyFor(`new${inserted++}`));
      },
    );
    const old = seen.filter(({ id }) => id.startsWith("k"));
    expect(old.map(({ id }) => id)).toEqual([...new Set(old.map(({ id }) => id))]);
    expect(old).toHaveLength(25);
    expect(old.map(({ createdAt }) => createdAt)).toEqual(old.map(({ createdAt }) => createdAt).toSorted((a, b) => b - a));
  });

  test("a cursor of another list, or one that somebody made up, is refused", async () => {
    const { stores } = await open();
    for (const id of ["a", "b"]) await stores.keys.create("acme", keyFor(id));
    const { next } = await stores.keys.list("acme", {}, { size: 1 });
    expect(next).toBeDefined();
    const forged = Buffer.from(JSON.stringify(["keys", "1 OR 1=1", "x"])).toString("base64url");
    for (const cursor of ["", "junk", "%%%", forged]) {
      await expect(stores.keys.list("acme", {}, { size: 1, cursor })).rejects.toMatchObject({ reason: "invalid_request" });
    }
    await expect(stores.projects.list("acme", { size: 1, cursor: next })).rejects.toMatchObject({ reason: "invalid_request" });
    // Another tenant's cursor shows what is the reader's own.
    expect((await stores.keys.list("other", {}, { size: 1, cursor: next })).items).toEqual([]);
  });

  test("limit rules and prices are changed and removed, and a version tells of it", async () => {
    const { stores } = await open();
    const rule = { id: "r1", subjectKind: "key", subjectId: "k1", settingsJson: '{"rpm":5}', enabled: true };
    const made = await stores.limitRules.create("acme", rule);
    expect(made).toMatchObject({ tenant: "acme", ...rule });
    await stores.limitRules.create("other", { ...rule, subjectKind: "project" });
    expect((await stores.limitRules.list("acme", { subjectKind: "project" }, { size: 5 })).items).toEqual([]);
    expect(await readAll((page) => stores.limitRules.listAll(page), 1)).toHaveLength(2);
    const version = await stores.limitRules.version();
    await expect(stores.limitRules.delete("acme", "r1", "9-9")).rejects.toMatchObject({ reason: "etag_mismatch" });
    await stores.limitRules.delete("acme", "r1", made.etag);
    await expect(stores.limitRules.delete("acme", "r1")).rejects.toMatchObject({ reason: "not_found" });
    expect(await stores.limitRules.version()).toBeGreaterThan(version);
    expect(await stores.limitRules.get("other", "r1")).toBeDefined();

    const tiers = [{ aboveInputTokens: 0, rates: { input: 9_007_199_254_740_993n, output: 0n } }];
    const price = {
      id: "p1",
      provider: "sim",
      modelPattern: "echo*",
      tiers,
      effectiveFrom: 5,
      effectiveUntil: undefined,
      source: "contract",
    };
    expect(await stores.prices.create(everyTenant, price)).toMatchObject({ tenant: everyTenant, ...price });
    expect((await stores.prices.update(everyTenant, "p1", { effectiveUntil: 9 })).effectiveUntil).toBe(9);
    expect((await stores.prices.update(everyTenant, "p1", { effectiveUntil: undefined })).effectiveUntil).toBeUndefined();
    expect((await stores.prices.list(everyTenant, { provider: "sim" }, { size: 5 })).items[0]?.tiers).toEqual(tiers);
    expect((await stores.prices.list("acme", {}, { size: 5 })).items).toEqual([]);
    expect((await stores.prices.listAll({ size: 5 })).items).toHaveLength(1);
    expect(await stores.prices.version()).toBe(3);
  });

  test("a ledger row is written once, goes forward in its life and never back", async () => {
    const { stores } = await open();
    const intent = intentFor();
    expect(await stores.ledger.open([intent])).toEqual({ inserted: 1, advanced: 0, repeated: 0 });
    expect(await stores.ledger.open([intent])).toEqual({ inserted: 0, advanced: 0, repeated: 1 });
    const dispatched = ledgerRow({ ...intent, state: "dispatched", usage: undefined, costNano: undefined, chargeNano: undefined });
    const settled = ledgerRow({ ...intent, chargeNano: 9_007_199_254_740_993n });
    expect(await stores.ledger.append([dispatched])).toEqual({ inserted: 0, advanced: 1, repeated: 0 });
    expect((await stores.ledger.openRows("epoch-1", { size: 5 })).items).toHaveLength(1);
    expect((await stores.ledger.openRows("epoch-2", { size: 5 })).items).toEqual([]);
    // The furthest state of a batch counts, whatever its order.
    expect(await stores.ledger.append([settled, dispatched, settled])).toMatchObject({ inserted: 0, advanced: 1 });
    expect(await stores.ledger.append([dispatched, ledgerRow({ ...intent, chargeNano: 1n })])).toMatchObject({ inserted: 0, advanced: 0 });
    const found = await stores.ledger.get("acme", intent.usageId);
    expect({ ...found, usage: undefined }).toEqual({ ...settled, usage: undefined });
    expect(found?.usage && settled.usage && equals(UsageSchema, found.usage, settled.usage)).toBe(true);
    expect((await stores.ledger.openRows(undefined, { size: 5 })).items).toEqual([]);
    expect(await stores.ledger.get("other", intent.usageId)).toBeUndefined();
  });

  test("settling twice has one effect, and an attempt that nobody opened is named", async () => {
    const { stores } = await open();
    const intent = intentFor();
    await stores.ledger.open([intent]);
    const { usageId, ...end } = ledgerRow(intent);
    const settlement = { ...end, usageId, state: "settled" as const };
    expect(await stores.ledger.settle("other", settlement)).toBe("absent");
    const twice = await Promise.all([
      stores.ledger.settle("acme", settlement),
      stores.ledger.settle("acme", { ...settlement, chargeNano: 7n }),
    ]);
    expect(twice.toSorted()).toEqual(["repeated", "settled"]);
    expect(await stores.ledger.settle("acme", { ...settlement, usageId: "unknown" })).toBe("absent");
  });

  test("sums of the ledger are exact beyond 53 bits, by project and by hour", async () => {
    const { stores } = await open();
    const hour = 3_600_000;
    const start = Math.floor(someTime / hour) * hour;
    const estimated = create(UsageSchema, { inputTokens: 1, outputTokens: 2, basis: UsageBasis.ESTIMATED });
    await stores.ledger.append([
      ledgerRow({ project: "a", startedAt: start, costNano: 9_007_199_254_740_993n, chargeNano: 9_007_199_254_740_993n }),
      ledgerRow({ project: "a", startedAt: start + 5, costNano: 9_007_199_254_740_993n, requestId: "request-2", status: "error" }),
      ledgerRow({ project: "a", startedAt: start + hour, costNano: undefined, chargeNano: undefined, usage: estimated }),
      ledgerRow({ project: "b", startedAt: start }),
      ledgerRow({ project: "b", startedAt: start, state: "released", usage: undefined, costNano: undefined, chargeNano: undefined }),
      ledgerRow({ project: "a", startedAt: start, tenant: "other" }),
    ]);
    const byProject = await stores.ledger.sum("acme", {}, { by: ["project"] });
    expect(byProject).toEqual([
      {
        group: { project: "a" },
        bucket: undefined,
        attempts: 3,
        calls: 2,
        errors: 1,
        unpriced: 1,
        estimated: 1,
        inputTokens: 21n,
        outputTokens: 42n,
        cacheReadTokens: 8n,
        cacheWriteTokens: 0n,
        reasoningTokens: 0n,
        costNano: 18_014_398_509_481_986n,
        chargeNano: 9_007_199_254_742_193n,
      },
      expect.objectContaining({ group: { project: "b" }, attempts: 1, costNano: 1_000n, chargeNano: 1_200n }),
    ]);
    const byHour = await stores.ledger.sum("acme", { project: "a" }, { by: [], bucketMs: hour });
    expect(byHour.map(({ bucket, attempts }) => [bucket, attempts])).toEqual([
      [start, 2],
      [start + hour, 1],
    ]);
    expect(await stores.ledger.sum("nobody", {}, { by: [] })).toEqual([]);
  });

  test("settled rows take new prices, others do not", async () => {
    const { stores } = await open();
    const [settled, running] = [ledgerRow(), intentFor()];
    await stores.ledger.append([settled]);
    await stores.ledger.open([running]);
    const price = { costNano: 5n, chargeNano: 6n, pricingVersion: "v2" };
    const prices = [settled.usageId, running.usageId, "unknown"].map((usageId) => ({ usageId, ...price }));
    expect(await stores.ledger.rerate("other", prices)).toBe(0);
    expect(await stores.ledger.rerate("acme", prices)).toBe(1);
    expect(await stores.ledger.get("acme", settled.usageId)).toMatchObject(price);
  });

  test("10 000 rows are appended without the process standing still", async () => {
    const { stores } = await open();
    const rows = Array.from({ length: 10_000 }, (_, index) => ledgerRow({ usageId: `u${index}`, startedAt: someTime + index }));
    let over = false;
    let turns = 0;
    const turn = () => {
      turns++;
      if (!over) setImmediate(turn);
    };
    const appending = stores.ledger.append(rows);
    setImmediate(turn);
    expect(await appending).toEqual({ inserted: 10_000, advanced: 0, repeated: 0 });
    over = true;
    expect(turns).toBeGreaterThan(10);
    const seen = await readAll((page) => stores.ledger.scan("acme", {}, page), 1_000);
    expect(seen.map(({ usageId }) => usageId)).toEqual(rows.map(({ usageId }) => usageId));
    expect((await stores.ledger.list("acme", {}, { size: 1 })).items[0]?.usageId).toBe("u9999");
  }, 30_000);

  test("the log gives records and contents back, and a batch that comes twice counts once", async () => {
    const { stores } = await open();
    const full = logged(
      { sessionId: "s1", costNano: 9_007_199_254_740_993n, policyRevision: 3, requestedModel: "größe\u0000x" },
      { requestBody: '{"a":"\ud83d\ude00"}' },
    );
    const bare = logged({ costNano: undefined, promptTokens: undefined, ttftMs: undefined });
    await stores.requestLog.append([full, bare, full]);
    await stores.requestLog.append([full]);
    expect(await stores.requestLog.get("acme", full.record.requestId)).toEqual(full);
    expect(await stores.requestLog.get("acme", bare.record.requestId)).toEqual(bare);
    expect(await stores.requestLog.get("other", full.record.requestId)).toBeUndefined();
    expect(await stores.requestLog.count("acme", {})).toBe(2);
    expect(await stores.sessions.get("acme", "s1")).toMatchObject({ requests: 1, costNano: 9_007_199_254_740_993n });
  });

  test("the log is searched by its fields, newest first, by cursor or by number of page", async () => {
    const { stores } = await open();
    const statuses = ["success", "error", "timeout", "cancelled", "blocked"] as const;
    const requests = Array.from({ length: 20 }, (_, index) =>
      logged({
        requestId: `r${String(index).padStart(2, "0")}`,
        createdAt: someTime + Math.floor(index / 2),
        status: statuses[index % 5] ?? "success",
        requestedModel: index % 2 === 0 ? "Fast_1" : "fastX1",
        environment: index < 10 ? "production" : "staging",
      }),
    );
    await stores.requestLog.append(requests);
    const newest = requests.map(({ record }) => record.requestId).reverse();
    const ids = (records: readonly { requestId: string }[]) => records.map(({ requestId }) => requestId);
    expect(ids(await readAll((page) => stores.requestLog.query("acme", {}, page), 3))).toEqual(newest);
    expect(ids((await stores.requestLog.query("acme", {}, { size: 5, skip: 10 })).items)).toEqual(newest.slice(10, 15));
    const failed = { statuses: ["error", "timeout"] } as const;
    expect(await stores.requestLog.count("acme", failed)).toBe(8);
    expect(await stores.requestLog.count("acme", { statuses: [] })).toBe(0);
    expect(await stores.requestLog.count("acme", { modelSearch: "T_1" })).toBe(10);
    expect(await stores.requestLog.count("acme", { environment: "staging", from: someTime + 6, until: someTime + 8 })).toBe(4);
    expect(await stores.requestLog.count("other", {})).toBe(0);
  });

  test("summaries count by status and give latencies by nearest rank", async () => {
    const { stores } = await open();
    await stores.requestLog.append([
      ...Array.from({ length: 100 }, (_, index) => logged({ callerAgent: "bot", latencyMs: index + 1, createdAt: someTime + index })),
      logged({ callerAgent: "one", latencyMs: 7, status: "timeout", costNano: undefined }),
      logged({ callerAgent: "bot", tenant: "other" }),
    ]);
    const [bot, one] = await stores.requestLog.summarise("acme", {}, ["callerAgent"]);
    expect(bot).toEqual({
      group: { callerAgent: "bot" },
      requests: 100,
      byStatus: { success: 100 },
      promptTokens: 1_000n,
      completionTokens: 2_000n,
      costNano: 100_000n,
      unpriced: 0,
      latencyMs: { p50: 50, p90: 90, p99: 99 },
      firstAt: someTime,
      lastAt: someTime + 99,
    });
    expect(one).toMatchObject({ byStatus: { timeout: 1 }, unpriced: 1, latencyMs: { p50: 7, p90: 7, p99: 7 } });
    expect(await stores.requestLog.summarise("acme", {}, [])).toMatchObject([{ requests: 101 }]);
    expect(await stores.requestLog.summarise("nobody", {}, [])).toEqual([]);
  });

  test("sessions hold their first and last call, whatever order batches come in", async () => {
    const { stores } = await open();
    const call = (createdAt: number, facts: object) => logged({ sessionId: "s1", createdAt: someTime + createdAt, ...facts });
    await stores.requestLog.append([call(10, { callerAgent: "b", status: "error" }), call(5, { callerAgent: "a" })]);
    await stores.requestLog.append([call(7, { callerAgent: "c" })]);
    await stores.requestLog.append([logged({ sessionId: "s2", createdAt: someTime + 1 }), logged({ sessionId: "s1", tenant: "other" })]);
    expect(await stores.sessions.get("acme", "s1")).toMatchObject({
      requests: 3,
      errors: 1,
      callerAgent: "b",
      lastStatus: "error",
      firstAt: someTime + 5,
      lastAt: someTime + 10,
    });
    expect((await readAll((page) => stores.sessions.list("acme", {}, page), 1)).map(({ id }) => id)).toEqual(["s1", "s2"]);
  });

  test("pruning takes the oldest, by age, by number and by size, and contents sooner than records", async () => {
    const { stores } = await open();
    const requests = Array.from({ length: 30 }, (_, index) =>
      logged({ requestId: `r${index}`, createdAt: someTime + index, sessionId: `s${index}` }, { requestBody: "x".repeat(10_000) }),
    );
    await stores.requestLog.append([...requests, logged({ tenant: "other", createdAt: someTime })]);
    expect(await stores.requestLog.prune("acme", { contentBefore: someTime + 10 })).toEqual({ records: 0, contents: 10 });
    expect(await stores.requestLog.prune("acme", { before: someTime + 5 })).toEqual({ records: 5, contents: 0 });
    expect(await stores.sessions.get("acme", "s4")).toBeUndefined();
    expect((await stores.requestLog.get("acme", "r9"))?.content).toBeUndefined();
    expect((await stores.requestLog.get("acme", "r10"))?.content?.requestBody).toHaveLength(10_000);
    expect(await stores.requestLog.prune("acme", { maxRecords: 20 })).toEqual({ records: 5, contents: 0 });
    expect(await stores.requestLog.get("acme", "r9")).toBeUndefined();
    // Ids of sessions are the clients' own words: no more of them stay than records.
    expect(await stores.sessions.get("acme", "s9")).toBeUndefined();
    expect(await stores.sessions.get("acme", "s10")).toBeDefined();
    expect(await stores.requestLog.prune("acme", { maxBytes: 1_000_000 })).toEqual({ records: 0, contents: 0 });
    expect((await stores.requestLog.prune("acme", { maxBytes: 0 })).records).toBe(20);
    expect(await stores.requestLog.count("other", {})).toBe(1);
    expect((await stores.requestLog.prune(undefined, { maxRecords: 0 })).records).toBe(1);
  });

  test("caller agents register once, and no more of them than allowed, by however many at a time", async () => {
    const { stores, place } = await open();
    const others = await openTestStores(place);
    const agent = (key: string) => ({ key, description: "", model: "", environment: "production", discovered: true });
    const both = await Promise.all([stores, others].map(({ callerAgents }) => callerAgents.register("acme", agent("bot"), 3)));
    expect(both[0]?.id).toBe(both[1]?.id);
    const many = await Promise.all(
      Array.from({ length: 8 }, (_, index) => (index % 2 ? stores : others).callerAgents.register("acme", agent(`a${index}`), 3)),
    );
    expect(many.filter((record) => record !== undefined)).toHaveLength(2);
    expect((await stores.callerAgents.list("acme", { size: 10 })).items).toHaveLength(3);
    expect(await stores.callerAgents.register("acme", agent("bot"), 3)).toMatchObject({ id: both[0]?.id });
    expect(await stores.callerAgents.register("other", agent("bot"), 1)).toMatchObject({ tenant: "other" });
    await stores.callerAgents.touch([{ tenant: "acme", key: "bot", at: someTime + 5 }]);
    expect(await stores.callerAgents.getByKey("acme", "bot")).toMatchObject({ lastSeenAt: someTime + 5 });
    await stores.callerAgents.delete("acme", both[0]?.id ?? "");
    expect(await stores.callerAgents.getByKey("acme", "bot")).toBeUndefined();
  });

  test("the audit log is one chain however many append, and shows what was changed or cut", async () => {
    const { stores, place } = await open();
    const others = await openTestStores(place);
    const appended = await Promise.all(
      Array.from({ length: 20 }, (_, index) => (index % 2 ? stores : others).audit.append("acme", auditEntry({ subjectId: `k${index}` }))),
    );
    expect(appended.map(({ sequence }) => sequence).toSorted((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, index) => index + 1));
    await stores.audit.append("other", auditEntry({ action: "tenants.update" }));
    expect(await stores.audit.verify("acme")).toEqual({ entries: 20, brokenAt: undefined });
    expect((await stores.audit.list("acme", { action: "keys." }, { size: 3 })).items.map(({ sequence }) => sequence)).toEqual([20, 19, 18]);
    expect((await stores.audit.list("acme", { action: "keys" }, { size: 3 })).items).toEqual([]);

    const database = openBareDatabase(place);
    const tamper = (sql: string) => database.write(allTenants, [{ sql, values: [] }]);
    await expect(tamper("UPDATE audit SET actor = 'me'")).rejects.toThrow();
    await expect(tamper("DELETE FROM audit")).rejects.toThrow();
    // Whoever owns the database can still do it; then the chain tells.
    const on = engine.name === "postgres" ? " ON audit" : "";
    for (const trigger of engine.name === "postgres" ? ["audit_append_only"] : ["audit_unchanged", "audit_kept"])
      await tamper(`DROP TRIGGER ${trigger}${on}`);
    await tamper("UPDATE audit SET actor = 'me' WHERE tenant = 'acme' AND sequence = 7");
    expect(await stores.audit.verify("acme")).toEqual({ entries: 6, brokenAt: 7 });
    await tamper("DELETE FROM audit WHERE tenant = 'acme' AND sequence > 5");
    expect(await stores.audit.verify("acme")).toEqual({ entries: 5, brokenAt: 6 });
    expect(await stores.audit.verify("other")).toEqual({ entries: 1, brokenAt: undefined });
  });

  test("of calls with one idempotency key at the same moment one runs, over several connections", async () => {
    const { stores, place } = await open();
    const others = await openTestStores(place);
    const id = { scope: "key-1 Complete", key: "once" };
    const attempt = { bodyHash: "h1", now: someTime, runsUntil: someTime + 100, keptUntil: someTime + 1_000 };
    const begun = await Promise.all(
      Array.from({ length: 30 }, (_, index) => (index % 2 ? stores : others).idempotency.begin("acme", id, attempt)),
    );
    const winners = begun.filter((state) => state.state === "new");
    expect(winners).toHaveLength(1);
    expect(begun.filter((state) => state.state === "in_flight")).toHaveLength(29);
    const token = winners[0]?.state === "new" ? winners[0].token : "";
    expect(await stores.idempotency.begin("acme", id, { ...attempt, bodyHash: "h2" })).toEqual({ state: "other_body" });
    expect((await stores.idempotency.begin("other", id, attempt)).state).toBe("new");
    const reply = { httpStatus: 200, metaJson: '{"a":1}', body: new Uint8Array([0, 255, 10]) };
    expect(await stores.idempotency.finish("acme", id, "not the token", reply)).toBe(false);
    expect(await stores.idempotency.finish("acme", id, token, reply)).toBe(true);
    expect(await stores.idempotency.release("acme", id, token)).toBe(false);
    expect(await others.idempotency.begin("acme", id, attempt)).toEqual({ state: "finished", reply });
    expect(await stores.idempotency.begin("acme", id, { ...attempt, now: someTime + 1_000 })).toMatchObject({ state: "new" });
  });

  test("answers that are kept for repeats have a bound: the oldest go, and their keys stay taken", async () => {
    const { stores } = await open();
    const attempt = { bodyHash: "h", now: someTime, runsUntil: someTime + 100 };
    for (let index = 0; index < 40; index++) {
      const id = { scope: "s", key: `k${index}` };
      const state = await stores.idempotency.begin("acme", id, { ...attempt, keptUntil: someTime + 1_000 + index });
      const token = state.state === "new" ? state.token : "";
      const reply = { httpStatus: 200, metaJson: "{}", body: new Uint8Array(5_000) };
      expect(await stores.idempotency.finish("acme", id, token, reply)).toBe(true);
    }
    const look = async (key: string) => {
      const state = await stores.idempotency.begin("acme", { scope: "s", key }, { ...attempt, keptUntil: someTime + 2_000 });
      return state.state === "finished" ? state.reply : state.state;
    };
    expect(await look("k0")).toEqual({ httpStatus: 200, metaJson: "", body: new Uint8Array(0) });
    expect(await look("k39")).toMatchObject({ metaJson: "{}" });
  });

  test("an idempotency key is free again after release, and after its process died", async () => {
    const { stores } = await open();
    const id = { scope: "s", key: "k" };
    const attempt = { bodyHash: "h", keptUntil: someTime + 1_000 };
    const begin = async (now: number) => {
      const state = await stores.idempotency.begin("acme", id, { ...attempt, now, runsUntil: now + 500 });
      return state.state === "new" ? state.token : undefined;
    };
    const first = (await begin(someTime)) ?? "";
    expect(await begin(someTime + 200)).toBeUndefined();
    const second = (await begin(someTime + 500)) ?? "";
    expect(second).not.toBe("");
    expect(await stores.idempotency.release("acme", id, first)).toBe(false);
    expect(await stores.idempotency.release("acme", id, second)).toBe(true);
    expect(await begin(someTime + 501)).toBeDefined();
    expect(await stores.idempotency.prune(someTime + 999)).toBe(0);
    expect(await stores.idempotency.prune(someTime + 1_000)).toBe(1);
  });

  test("answers of Responses survive the process, and no longer than they should", async () => {
    const { stores, place, clock } = await open();
    const message = create(MessageSchema, { role: Role.USER, parts: [{ part: { case: "text", value: "hi" } }] });
    const answer = {
      id: "resp_1",
      tenant: "acme",
      owner: "me",
      createdAt: 5,
      messages: [message],
      responseJson: "{}",
      inputItemsJson: ['{"n":1e999}'],
    };
    await stores.responses.put(answer);
    const others = await openTestStores(place, clock);
    expect(await others.responses.get("acme", "me", "resp_1")).toEqual(answer);
    expect(await others.responses.get("acme", "you", "resp_1")).toBeUndefined();
    expect(await others.responses.get("other", "me", "resp_1")).toBeUndefined();
    clock.time += 60_000;
    expect(await others.responses.get("acme", "me", "resp_1")).toBeUndefined();
    await stores.responses.put({ ...answer, id: "resp_2" });
    await stores.responses.put({ ...answer, id: "large", responseJson: "x".repeat(2 << 20) });
    expect(await stores.responses.get("acme", "me", "large")).toBeUndefined();
    expect([await stores.responses.delete("acme", "me", "resp_2"), await stores.responses.delete("acme", "me", "resp_2")]).toEqual([
      true,
      false,
    ]);
  });
});
