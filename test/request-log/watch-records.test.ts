/** A watch gives each record once, and keeps no more for somebody who does not read than one look may find. */
import { expect, test } from "vitest";
import { GatewayError } from "../../src/core/error.ts";
import type { RequestLogRecord, RequestLogStore } from "../../src/core/request-log-store.ts";
import { watchRecords } from "../../src/request-log/watch-records.ts";
import { logged, someTime } from "../stores/records.ts";

/** A log in which `count` calls were made in the moment of every look. */
function busyStore(count: number): { store: Pick<RequestLogStore, "query">; looks(): number } {
  let looks = 0;
  return {
    looks: () => looks,
    store: {
      async query(_tenant, _filter, { size, cursor }) {
        const first = cursor === undefined ? 0 : Number(cursor);
        if (first === 0) looks++;
        const items = Array.from({ length: Math.min(size, count - first) }, (_, index): RequestLogRecord => {
          return logged({ requestId: `${looks}-${first + index}`, createdAt: someTime }).record;
        });
        return { items, next: first + size < count ? String(first + size) : undefined };
      },
    },
  };
}

const clock = { now: () => 0, wall: () => someTime };

test("who does not read is not read ahead for", async () => {
  const { store, looks } = busyStore(3);
  const stop = new AbortController();
  const records = watchRecords({ store, tenant: "acme", filter: {}, clock, signal: stop.signal, onWritten: () => () => {} });
  expect((await records.next()).value?.requestId).toBe("1-2");
  // Nobody asks for more: nothing more is looked for, however long that takes.
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(looks()).toBe(1);
  stop.abort();
  expect((await records.next()).done).toBe(true);
});

test("who is too slow is told so and ended", async () => {
  const { store } = busyStore(20_001);
  const stop = new AbortController();
  let ended = 0;
  const records = watchRecords({ store, tenant: "acme", filter: {}, clock, signal: stop.signal, onWritten: () => () => ended++ });
  await expect(records.next()).rejects.toThrow(GatewayError);
  await expect(records.next()).resolves.toMatchObject({ done: true });
  expect(ended).toBe(1);
});
