import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { OpenTenants } from "../../src/access/open-tenants.ts";
import { createPrincipal } from "../../src/core/principal.ts";
import type { TenantRecord } from "../../src/core/tenant-store.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const caller = createPrincipal({ id: "oidc:1", tenant: "acme", scopes: new Set(["*"]) });

/** A store whose answers a test gives. */
function start() {
  const facts = { enabled: true, looks: 0, isFrozen: false };
  const tenants = {
    async get() {
      facts.looks++;
      if (facts.isFrozen) await new Promise(() => undefined);
      return { enabled: facts.enabled } as TenantRecord;
    },
  };
  const clock = { now: () => Date.now(), wall: () => Date.now() };
  const openTenants = new OpenTenants({ tenants, projects: { get: async () => undefined }, clock });
  const admit = async (): Promise<unknown> => openTenants.admit(caller);
  return { facts, admit };
}

test("a store that does not answer keeps callers of a known tenant waiting for half a second, and the next ones not at all", async () => {
  const { facts, admit } = start();
  expect(await admit()).toBe(caller);
  facts.isFrozen = true;
  await vi.advanceTimersByTimeAsync(5_000);
  const waiting = Promise.all([admit(), admit()]);
  await vi.advanceTimersByTimeAsync(500);
  expect(await waiting).toEqual([caller, caller]);
  expect(await admit()).toBe(caller);
  expect(facts.looks).toBe(2);
});

test("many callers of one tenant look once, and one that was disabled is out within five seconds", async () => {
  const { facts, admit } = start();
  await Promise.all([admit(), admit(), admit()]);
  expect(facts.looks).toBe(1);
  facts.enabled = false;
  await vi.advanceTimersByTimeAsync(5_000);
  await expect(admit()).rejects.toMatchObject({ reason: "unauthenticated" });
  await expect(admit()).rejects.toMatchObject({ reason: "unauthenticated" });
  facts.enabled = true;
  await vi.advanceTimersByTimeAsync(5_000);
  expect(await admit()).toBe(caller);
});
