import { expect, test } from "vitest";
import type { CallSignatures } from "../../src/core/signature-store.ts";
import { createMemorySignatures } from "../../src/stores/memory-signatures.ts";

function storeWith(options: { maxBytes?: number; maxCallBytes?: number } = {}) {
  let now = 0;
  const clock = { now: () => now, wall: () => 0 };
  const store = createMemorySignatures({ maxBytes: 1 << 20, maxCallBytes: 1 << 16, ttlMs: 1_000, clock, ...options });
  return { store, pass: (ms: number) => void (now += ms) };
}

const signature = (value: string, provider = "claude") =>
  ({ $typeName: "dragoman.v1.Signature", value, format: "anthropic", provider }) as const;
const thought = (text: string): CallSignatures => ({
  signature: undefined,
  reasoning: [{ text, summaries: [], redacted: false, signature: signature(`of ${text}`) }],
});

test("knows who issued a value, to the caller who got it alone", async () => {
  const { store } = storeWith();
  store.remember("alice", [signature("a"), signature("b", "other")]);
  expect(await store.issuers("alice", ["b", "x", "a"])).toEqual([
    { format: "anthropic", provider: "other" },
    undefined,
    { format: "anthropic", provider: "claude" },
  ]);
  expect(await store.issuers("bob", ["a"])).toEqual([undefined]);
});

test("gives back what belongs to a call", async () => {
  const { store } = storeWith();
  store.rememberCall("alice", "call_1", thought("hm"));
  expect(await store.calls("alice", ["call_2", "call_1"])).toEqual([undefined, thought("hm")]);
  expect(await store.calls("bob", ["call_1"])).toEqual([undefined]);
});

test("forgets what was not used for its lifetime", async () => {
  const { store, pass } = storeWith();
  store.remember("alice", [signature("a"), signature("b")]);
  pass(900);
  await store.issuers("alice", ["a"]);
  pass(900);
  expect(await store.issuers("alice", ["a", "b"])).toEqual([{ format: "anthropic", provider: "claude" }, undefined]);
  pass(1_001);
  expect(await store.issuers("alice", ["a"])).toEqual([undefined]);
});

test("stays within its bytes: what was used longest ago goes first, what is too large is not kept", async () => {
  const { store } = storeWith({ maxBytes: 4_000, maxCallBytes: 2_000 });
  store.rememberCall("alice", "first", thought("x".repeat(300)));
  store.rememberCall("alice", "second", thought("x".repeat(300)));
  await store.calls("alice", ["first"]);
  store.rememberCall("alice", "third", thought("x".repeat(300)));
  store.rememberCall("alice", "huge", thought("x".repeat(1_000)));
  const known = await store.calls("alice", ["first", "second", "third", "huge"]);
  expect(known.map((call) => call !== undefined)).toEqual([true, false, true, false]);
  for (let count = 0; count < 1_000; count++) store.remember("alice", [signature(`v${count}`)]);
  expect(await store.calls("alice", ["third"])).toEqual([undefined]);
  expect(await store.issuers("alice", ["v999"])).not.toEqual([undefined]);
});
