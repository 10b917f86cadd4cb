/** The supervisor alone, over workers that are no processes. */
import { afterEach, expect, test, vi } from "vitest";
import { Channel } from "../../src/cluster/channel.ts";
import { type Primary, startPrimary } from "../../src/cluster/primary.ts";
import { topics } from "../../src/cluster/worker-place.ts";
import type { ForkWorker, WorkerEnd } from "../../src/cluster/worker-process.ts";
import { silentLog } from "../../src/core/log.ts";

interface Started {
  readonly worker: number;
  die(): void;
}

let primary: Primary | undefined;
afterEach(() => primary?.stop());

/** Workers that serve at once, and end when they are told to. The system refuses to start as many as `refusals` says. */
async function start(): Promise<{ started: Started[]; facts: { refusals: number }; errors: string[] }> {
  const started: Started[] = [];
  const errors: string[] = [];
  const facts = { refusals: 0 };
  const fork: ForkWorker = ({ worker }) => {
    if (facts.refusals-- > 0) throw Object.assign(new Error("spawn ENOMEM"), { code: "ENOMEM" });
    const { promise: ended, resolve } = Promise.withResolvers<WorkerEnd>();
    const channel = new Channel({ send: () => undefined });
    const end = (signal: NodeJS.Signals | null) => () => resolve({ code: signal === null ? 0 : null, signal });
    started.push({ worker, die: end("SIGKILL") });
    setImmediate(() => channel.receive({ packets: [{ kind: "notice", topic: topics.ready, body: {} }] }));
    return { id: `${worker}.${started.length}`, worker, pid: 1, channel, give() {}, stop: end(null), kill: end("SIGKILL"), ended };
  };
  primary = await startPrimary({
    workers: 2,
    ports: { data: { host: "127.0.0.1", port: 0 }, admin: { host: "127.0.0.1", port: 0 } },
    maxConnections: 10,
    services: [],
    log: { ...silentLog, error: (message) => void errors.push(message) },
    backOff: { firstMs: 1, mostMs: 1, quietMs: 60_000 },
    fork,
  });
  return { started, facts, errors };
}

test("a worker that cannot be started now is started later", async () => {
  const { started, facts, errors } = await start();
  facts.refusals = 3;
  started[1]?.die();
  await vi.waitFor(() => expect(started.map(({ worker }) => worker)).toEqual([1, 2, 2]));
  expect(errors.filter((message) => message === "a worker cannot be started")).toHaveLength(3);
});

test("a restart for which there is no memory leaves the old workers as they are", async () => {
  const { started, facts } = await start();
  facts.refusals = 1;
  await primary?.restart();
  expect(started.map(({ worker }) => worker)).toEqual([1, 2]);
  await primary?.restart();
  expect(started.map(({ worker }) => worker)).toEqual([1, 2, 1, 2]);
});
