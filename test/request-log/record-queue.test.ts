import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { GatewayError } from "../../src/core/error.ts";
import type { Logger } from "../../src/core/log.ts";
import { RecordQueue } from "../../src/request-log/record-queue.ts";

const limits = { maxRecords: 300, maxBytes: 1_000_000, flushMs: 50 };

/** A store that may be away or refuse, and the lines that were logged. */
function scene(changed: Partial<typeof limits> = {}) {
  const batches: number[][] = [];
  const lines: string[] = [];
  const line = (message: string) => void lines.push(message);
  const log: Logger = { debug: line, info: line, warn: line, error: line };
  const store: { failure: Error | undefined; hold: Promise<void> | undefined } = { failure: undefined, hold: undefined };
  const queue = new RecordQueue<number>({
    limits: { ...limits, ...changed },
    log,
    async write(items) {
      await store.hold;
      if (store.failure !== undefined) throw store.failure;
      batches.push([...items]);
    },
  });
  return { queue, batches, lines, store };
}

const away = new GatewayError("store_unavailable", "away");

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe("a queue of records", () => {
  test("waits for others, and writes them together in their order", async () => {
    const { queue, batches } = scene();
    for (let item = 0; item < 5; item++) queue.add(item, 1);
    expect(batches).toEqual([]);
    await vi.advanceTimersByTimeAsync(limits.flushMs);
    expect(batches).toEqual([[0, 1, 2, 3, 4]]);
    expect(queue.waiting).toBe(0);
  });

  test("writes at once when a batch is full", async () => {
    const { queue, batches } = scene();
    for (let item = 0; item < 257; item++) queue.add(item, 1);
    await vi.advanceTimersByTimeAsync(0);
    expect(batches.map(({ length }) => length)).toEqual([256, 1]);
  });

  test("drops and counts what finds no room, by number", async () => {
    const { queue, batches } = scene({ maxRecords: 10 });
    for (let item = 0; item < 25; item++) queue.add(item, 1);
    expect(queue.dropped).toBe(15);
    await queue.flush();
    expect(batches).toEqual([[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]]);
    queue.add(99, 1);
    await queue.flush();
    expect(batches[1]).toEqual([99]);
    expect(queue.dropped).toBe(15);
  });

  test("drops and counts what finds no room, by size", async () => {
    const { queue } = scene({ maxBytes: 100 });
    queue.add(1, 60);
    queue.add(2, 60);
    queue.add(3, 40);
    expect(queue).toMatchObject({ waiting: 2, dropped: 1 });
    await queue.flush();
    queue.add(4, 100);
    expect(queue).toMatchObject({ waiting: 1, dropped: 1 });
  });

  test("keeps what a store that is away does not take, and says so once", async () => {
    const { queue, batches, lines, store } = scene();
    store.failure = away;
    queue.add(1, 1);
    await vi.advanceTimersByTimeAsync(5_000);
    queue.add(2, 1);
    await vi.advanceTimersByTimeAsync(5_000);
    expect({ batches, dropped: queue.dropped, lines: lines.length }).toEqual({ batches: [], dropped: 0, lines: 1 });
    store.failure = undefined;
    await vi.advanceTimersByTimeAsync(2_000);
    expect(batches).toEqual([[1, 2]]);
    expect(lines).toHaveLength(2);
  });

  test("loses and counts what the store refuses, and goes on", async () => {
    const { queue, batches, store } = scene();
    store.failure = new Error("no such column");
    queue.add(1, 1);
    await queue.flush();
    store.failure = undefined;
    queue.add(2, 1);
    await queue.flush();
    expect({ batches, dropped: queue.dropped, waiting: queue.waiting }).toEqual({ batches: [[2]], dropped: 1, waiting: 0 });
  });

  test("takes records while a batch is written", async () => {
    const { queue, batches, store } = scene();
    let release: () => void = () => {};
    store.hold = new Promise((resolve) => {
      release = resolve;
    });
    queue.add(1, 1);
    const flushed = queue.flush();
    queue.add(2, 1);
    release();
    await flushed;
    await queue.flush();
    expect(batches.flat()).toEqual([1, 2]);
  });

  test("closes with everything written, and takes no more", async () => {
    const { queue, batches } = scene();
    queue.add(1, 1);
    await queue.close();
    queue.add(2, 1);
    expect({ batches, dropped: queue.dropped }).toEqual({ batches: [[1]], dropped: 1 });
  });

  test("closes although the store is away, and counts what is lost", async () => {
    const { queue, store } = scene();
    store.failure = away;
    queue.add(1, 1);
    queue.add(2, 1);
    await queue.close();
    expect(queue.dropped).toBe(2);
    expect(vi.getTimerCount()).toBe(0);
  });
});
