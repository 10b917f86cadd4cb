import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { MessageSchema, Role } from "../../gen/dragoman/v1/generate_pb.ts";
import type { StoredResponse } from "../../src/core/response-store.ts";
import { createMemoryResponses } from "../../src/stores/memory-responses.ts";

function answer(id: string, { owner = "me", text = "hi" } = {}): StoredResponse {
  const message = create(MessageSchema, { role: Role.USER, parts: [{ part: { case: "text", value: text } }] });
  return {
    id,
    tenant: "acme",
    owner,
    createdAt: 0,
    messages: [message],
    responseJson: `{"id":"${id}"}`,
    inputItemsJson: ['{"id":"msg_1"}'],
  };
}

function open({ maxBytes = 1 << 20, ttlMs = 1_000 } = {}) {
  let now = 0;
  const store = createMemoryResponses({ maxBytes, ttlMs, clock: { now: () => now, wall: () => now } });
  return {
    store,
    pass(ms: number) {
      now += ms;
    },
  };
}

describe("stored answers in memory", () => {
  test("come back as they were put, and nobody can change what is kept", async () => {
    const { store } = open();
    const given = answer("resp_1");
    await store.put(given);
    const found = await store.get("acme", "me", "resp_1");
    expect(found).toEqual(given);
    found?.messages[0]?.parts.pop();
    expect((await store.get("acme", "me", "resp_1"))?.messages[0]?.parts).toHaveLength(1);
  });

  test("another's are not there", async () => {
    const { store } = open();
    await store.put(answer("resp_1", { owner: "other" }));
    expect(await store.get("acme", "me", "resp_1")).toBeUndefined();
    expect(await store.delete("acme", "me", "resp_1")).toBe(false);
    expect(await store.get("acme", "other", "resp_1")).toBeDefined();
  });

  test("are deleted once", async () => {
    const { store } = open();
    await store.put(answer("resp_1"));
    expect([await store.delete("acme", "me", "resp_1"), await store.delete("acme", "me", "resp_1")]).toEqual([true, false]);
    expect(await store.get("acme", "me", "resp_1")).toBeUndefined();
  });

  test("end with their time", async () => {
    const { store, pass } = open({ ttlMs: 1_000 });
    await store.put(answer("resp_1"));
    pass(1_000);
    expect(await store.get("acme", "me", "resp_1")).toBeDefined();
    pass(1);
    expect(await store.get("acme", "me", "resp_1")).toBeUndefined();
  });

  test("make room from the oldest on, and the newest put of an id counts", async () => {
    const { store } = open({ maxBytes: 40_000 });
    const text = "x".repeat(10_000);
    for (const id of ["a", "b", "c", "a"]) await store.put(answer(id, { text }));
    await store.put(answer("d", { text }));
    const left = await Promise.all(["a", "b", "c", "d"].map(async (id) => (await store.get("acme", "me", id)) !== undefined));
    expect(left).toEqual([true, false, true, true]);
  });

  test("what is larger than the whole store drives nobody out", async () => {
    const { store } = open({ maxBytes: 20_000 });
    await store.put(answer("small"));
    await store.put(answer("large", { text: "x".repeat(30_000) }));
    expect(await store.get("acme", "me", "large")).toBeUndefined();
    expect(await store.get("acme", "me", "small")).toBeDefined();
  });
});
