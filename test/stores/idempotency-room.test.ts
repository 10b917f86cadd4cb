import { afterAll, beforeAll, expect, test } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { silentLog } from "../../src/core/log.ts";
import type { Stores } from "../../src/core/stores.ts";
import { createStores } from "../../src/stores/create-stores.ts";

const maxKeys = 40;
let stores: Stores;
beforeAll(async () => {
  stores = await createStores({
    engine: "memory",
    dataDir: "",
    databaseUrl: undefined,
    poolSize: 1,
    migrateOnStart: true,
    responses: { maxBytes: 0, ttlMs: 1 },
    idempotency: { maxBytes: 1_000_000, maxKeys },
    clock: systemClock,
    log: silentLog,
  });
});
afterAll(() => stores.close());

const attempt = (now: number) => ({ bodyHash: "h", now, runsUntil: now + 1_000_000, keptUntil: now + 1_000_000 });
const begin = (tenant: string, key: string, now: number) => stores.idempotency.begin(tenant, { scope: "s", key }, attempt(now));

test("a tenant has so many keys at once and no more, and keys that are known are answered", async () => {
  const states: string[] = [];
  for (let key = 0; key < maxKeys + 10; key++) states.push((await begin("acme", `k${key}`, 0)).state);
  expect(states).toEqual([...Array<string>(maxKeys).fill("new"), ...Array<string>(10).fill("full")]);
  expect(await begin("acme", "another", 500)).toEqual({ state: "full", maxKeys });
  expect((await begin("acme", "k0", 0)).state).toBe("in_flight");
  expect((await begin("other", "k0", 0)).state, "tenants do not take each other's room").toBe("new");
  expect((await begin("acme", "late", 999_000)).state).toBe("full");
  expect((await begin("acme", "k0", 1_000_000)).state, "they have ended").toBe("new");
});

test("keys that are given back make room", async () => {
  const taken: { readonly key: string; readonly token: string }[] = [];
  for (let key = 0; key < maxKeys; key++) {
    const state = await begin("free", `k${key}`, 0);
    if (state.state === "new") taken.push({ key: `k${key}`, token: state.token });
  }
  expect(taken).toHaveLength(maxKeys);
  expect((await begin("free", "more", 0)).state).toBe("full");
  for (const { key, token } of taken.slice(0, 10)) await stores.idempotency.release("free", { scope: "s", key }, token);
  expect((await begin("free", "more", 2_000)).state).toBe("new");
});
