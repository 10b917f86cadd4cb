import { afterEach, describe, expect, test } from "vitest";
import type { LogFields } from "../../src/core/log.ts";
import { connectionsWithin, descriptorLimit } from "../../src/overload/descriptor-limit.ts";
import { type HealthThread, startHealthThread } from "../../src/overload/health-thread.ts";
import { type OverloadLimits, OverloadWatch } from "../../src/overload/overload-watch.ts";
import { serveWorkerBeats } from "../../src/overload/worker-beats.ts";

function open(limits: Partial<OverloadLimits> = {}) {
  let now = 0;
  let heap = 0.1;
  let ended = 0;
  const lines: string[] = [];
  const write = (message: string, _fields?: LogFields) => void lines.push(message);
  const watch = new OverloadWatch({
    limits: { loopMs: 200, shedHeap: 0.85, fullHeap: 0.95, ...limits },
    clock: { now: () => now, wall: () => now },
    log: { debug: write, info: write, warn: write, error: write },
    onFull: () => ended++,
    heap: () => heap,
    random: () => 0.5,
  });
  return {
    watch,
    lines,
    ended: () => ended,
    fill: (share: number) => (heap = share),
    pass(ms: number, step = 50) {
      for (const end = now + ms; now < end; ) {
        now += step;
        watch.tick();
      }
    },
  };
}

describe("an overloaded process", () => {
  test("P4: refuses while its event loop is slow, says when to come back, and takes calls again", () => {
    const { watch, lines, pass } = open();
    pass(1_000);
    expect(watch.refusal()).toBeUndefined();
    pass(2_000, 2_000);
    expect(watch.refusal()).toMatchObject({ reason: "queue_full", status: 429, details: { retryAfterMs: 1_500 } });
    expect(watch.refusal()?.message).toContain("overloaded");
    expect(watch.refused).toEqual({ loop: 2, heap: 0 });
    expect(watch.stalls).toBe(1);
    pass(1_000);
    expect(watch.refusal()).toBeUndefined();
    // A line when the state changes, none per call.
    expect(lines).toEqual(["the event loop stood still", "calls are refused: the process is overloaded", "calls are taken again"]);
  });

  test("does not refuse for its loop where it is told not to", () => {
    const { watch, pass } = open({ loopMs: 0 });
    pass(50);
    pass(5_000, 5_000);
    expect(watch.refusal()).toBeUndefined();
  });

  test("P8: refuses while the heap is nearly full; one look is not enough", () => {
    const { watch, pass, fill, ended } = open();
    pass(250);
    fill(0.9);
    pass(250);
    expect(watch.refusal()).toBeUndefined();
    pass(250);
    expect(watch.refusal()?.message).toContain("memory");
    pass(60_000);
    expect(ended()).toBe(0);
    fill(0.5);
    pass(500);
    expect(watch.refusal()).toBeUndefined();
  });

  test("is ended once where the heap stays full, not where the garbage was only late", () => {
    const { pass, fill, ended } = open();
    fill(0.96);
    pass(1_500);
    fill(0.3);
    pass(500);
    expect(ended()).toBe(0);
    fill(0.97);
    pass(10_000);
    expect(ended()).toBe(1);
  });
});

describe("the health port of a thread", () => {
  const threads: HealthThread[] = [];
  afterEach(async () => {
    for (const thread of threads.splice(0)) await thread.close();
  });

  async function start(stallMs: number): Promise<{ thread: HealthThread; look(path?: string): Promise<string> }> {
    const thread = await startHealthThread({ host: "127.0.0.1", port: 0, stallMs });
    threads.push(thread);
    const look = async (path = "/healthz") => {
      const answer = await fetch(`http://127.0.0.1:${thread.address.port}${path}`, { headers: { connection: "close" } });
      return `${answer.status} ${await answer.text()}`;
    };
    return { thread, look };
  }

  test("is well while beats come, and stalled without them", async () => {
    const patient = await start(3_600_000);
    expect(await patient.look()).toBe("200 OK");
    expect(await patient.look("/readyz")).toMatch(/^404/);
    const { thread, look } = await start(0);
    thread.beat();
    expect(await look()).toBe("503 stalled");
  });

  test("P4: answers while the event loop of the process stands still", async () => {
    const { thread } = await start(100);
    const { Worker } = await import("node:worker_threads");
    // Asks from another thread, for this one is held up.
    const words = new SharedArrayBuffer(8);
    const asking = new Worker(
      `const { workerData: { port, words } } = require("node:worker_threads");
       const seen = new Int32Array(words);
       Atomics.wait(seen, 0, 0);
       (async () => {
         for (;;) {
           const { status } = await fetch("http://127.0.0.1:" + port + "/healthz");
           if (status === 503) break;
         }
         Atomics.store(seen, 1, 503);
         Atomics.notify(seen, 1);
       })();`,
      { eval: true, workerData: { port: thread.address.port, words } },
    );
    const seen = new Int32Array(words);
    thread.beat();
    await new Promise((resolve) => asking.once("online", resolve));
    Atomics.store(seen, 0, 1);
    Atomics.notify(seen, 0);
    Atomics.wait(seen, 1, 0, 20_000); // nothing of this process runs meanwhile
    expect(seen[1]).toBe(503);
    await asking.terminate();
  });

  test("with workers the primary's own beats count only until the first of theirs", () => {
    let beats = 0;
    const { handlers } = serveWorkerBeats({ beat: () => beats++ });
    handlers["overload.beat"]?.(undefined, "1.1");
    handlers["overload.beat"]?.(undefined, "2.2");
    expect(beats).toBe(2);
  });
});

test("connections leave descriptors for providers and files", () => {
  const text =
    "Max processes             96000                96000                processes\nMax open files            256                  1024                 files\n";
  expect(descriptorLimit(() => text)).toBe(256);
  expect(connectionsWithin(256)).toBe(96);
  expect(connectionsWithin(20)).toBe(8);
  expect(connectionsWithin(undefined)).toBeUndefined();
  expect(
    descriptorLimit(() => {
      throw new Error("no such file");
    }),
  ).toBeUndefined();
  expect(descriptorLimit(() => "Max open files            unlimited            unlimited            files\n")).toBeUndefined();
});
