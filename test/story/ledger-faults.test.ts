/** What the ledger promises when its disk or its store fails (reliability.md 4.4): no call is lost, none goes unrecorded. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import type { LedgerRow } from "../../src/core/ledger-row.ts";
import { silentLog } from "../../src/core/log.ts";
import { startSim } from "../../src/sim/server/start-sim.ts";
import { createStores } from "../../src/stores/create-stores.ts";
import { startGatewayProcess } from "../endurance/gateway-process.ts";
import { startGateway } from "./gateway.ts";
import { makeSmallDisk } from "./small-disk.ts";

const settings = { stores: { engine: "sqlite" }, request_log: { enabled: false }, local_embeddings: { enabled: false } };
const patience = { timeout: 20_000, interval: 50 };

async function readRows(dataDir: string): Promise<LedgerRow[]> {
  const stores = await createStores({
    engine: "sqlite",
    dataDir,
    databaseUrl: undefined,
    poolSize: 1,
    migrateOnStart: false,
    responses: { maxBytes: 0, ttlMs: 1 },
    clock: systemClock,
    log: silentLog,
  });
  try {
    return [...(await stores.ledger.scan("default", {}, { size: 1_000 })).items];
  } finally {
    await stores.close();
  }
}

let asked = 0;

function ask(url: string, steps: readonly object[], stream = false): Promise<Response> {
  const user = `fault-${asked++}`;
  return fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-dragoman-user-id": user },
    body: JSON.stringify({
      model: "chat/sim-script",
      stream,
      messages: [{ role: "user", content: JSON.stringify({ sim_script: { steps, id: user } }) }],
    }),
  });
}

const hello = [{ text: "hello" }];

describe("a disk", () => {
  const disk = makeSmallDisk("size=16m");
  if (disk === undefined) console.log("skipped: S1 over a real disk: no file system can be mounted here");

  test.skipIf(disk === undefined)("S1: that is full: 503 for what is new, the running call ends, and all is recorded", async () => {
    if (disk === undefined) return;
    const dataDir = join(disk.directory, "data");
    const gateway = await startGateway({ config: { data_dir: dataDir, ...settings, ledger: { reserve_bytes: 1_048_576 } } });
    onTestFinished(async () => {
      await gateway.close();
      disk.remove();
    });
    const readiness = async () => (await fetch(`${gateway.adminUrl}/readyz`)).text();
    expect((await ask(gateway.url, hello)).status).toBe(200);
    const running = await ask(gateway.url, [{ text: "before " }, { delay_ms: 3_000 }, { text: "and after" }], true);
    const giveBack = disk.fill();
    // What is left of a page that has its place takes a few more.
    const refused = await vi.waitFor(async () => {
      const response = await ask(gateway.url, hello);
      expect(response.status).toBe(503);
      return response;
    }, patience);
    expect(refused.headers.get("retry-after")).toMatch(/^\d+$/);
    expect(refused.headers.get("x-dragoman-error-reason")).toBe("ledger_unavailable");
    const reached = gateway.sim.bill().length;
    expect((await ask(gateway.url, hello)).status).toBe(503);
    expect(gateway.sim.bill()).toHaveLength(reached);
    expect(await readiness()).toContain("journal");
    expect(await running.text()).toContain("[DONE]");
    giveBack();
    await vi.waitFor(async () => expect((await ask(gateway.url, hello)).status).toBe(200), patience);
    await vi.waitFor(async () => expect(await readiness()).not.toContain("journal"), patience);
    await gateway.sim.settled();
    const bills = gateway.sim.bill();
    await vi.waitFor(async () => expect(await readRows(dataDir)).toHaveLength(bills.length), patience);
    const rows = await readRows(dataDir);
    expect(rows.map(({ state, outcome }) => `${state} ${outcome}`)).toEqual(Array(rows.length).fill("settled success"));
    const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0);
    expect(sum(rows.map(({ usage }) => usage?.outputTokens ?? 0))).toBe(sum(bills.map(({ outputTokens }) => outputTokens)));
  });

  test("that may not be written: the start ends with the path", async (context) => {
    const closed = makeSmallDisk("size=1m,ro");
    if (closed === undefined) return context.skip("no file system can be mounted here");
    onTestFinished(() => closed.remove());
    await expect(startGateway({ config: { data_dir: closed.directory, ...settings } })).rejects.toMatchObject({
      exitCode: 74,
      message: expect.stringContaining(closed.directory),
    });
  });
});

describe("a store", () => {
  test("S3: that another process locks: calls go on, and their rows arrive in order when it is free", async () => {
    const dataDir = mkdtempSync(join(tmpdir(), "dragoman-locked-"));
    const gateway = await startGateway({ config: { data_dir: dataDir, ...settings, ledger: { reserve_bytes: 0 } } });
    onTestFinished(async () => {
      await gateway.close();
      rmSync(dataDir, { recursive: true, force: true });
    });
    await (await ask(gateway.url, hello)).text();
    await vi.waitFor(async () => expect(await readRows(dataDir)).toHaveLength(1), patience);
    const other = new DatabaseSync(join(dataDir, "dragoman.sqlite"), { timeout: 5_000 });
    other.exec("BEGIN IMMEDIATE");
    for (let count = 0; count < 10; count++) expect((await ask(gateway.url, hello)).status).toBe(200);
    // Longer than a statement waits for a lock.
    await vi.waitFor(
      () => expect(gateway.lines.map(({ message }) => message)).toContain("the ledger's store is away; rows wait"),
      patience,
    );
    expect((await ask(gateway.url, hello)).status).toBe(200);
    other.exec("ROLLBACK");
    other.close();
    await vi.waitFor(async () => expect(await readRows(dataDir)).toHaveLength(12), patience);
    const rows = await readRows(dataDir);
    expect(rows.map(({ usageId }) => usageId)).toEqual(gateway.attempts().map((line) => (line as { usage_id?: string }).usage_id));
  });
});

describe("a data directory", () => {
  test("that two processes share: the one settles what the other died with, and serves meanwhile", async () => {
    const directory = mkdtempSync(join(tmpdir(), "dragoman-shared-"));
    const sim = await startSim({ port: 0 });
    const config = join(directory, "dragoman.json");
    const dataDir = join(directory, "data");
    const server = { listen: "127.0.0.1:0", listen_admin: "127.0.0.1:0", drain_notice_seconds: 0 };
    const providers = { chat: { type: "openai", base_url: `${sim.url}/v1`, api_key: "sk-shared-0001" } };
    const ledger = { reserve_bytes: 0 };
    const file = { server, data_dir: dataDir, ledger, discovery: { enabled: false }, log_level: "error", providers, ...settings };
    writeFileSync(config, JSON.stringify(file));
    const gateways = await Promise.all([startGatewayProcess(config), startGatewayProcess(config)]);
    onTestFinished(async () => {
      await Promise.all(gateways.map((gateway) => gateway.kill()));
      await sim.close();
      rmSync(directory, { recursive: true, force: true });
    });
    const [first, second] = gateways;
    expect(readdirSync(join(dataDir, "journal"))).toHaveLength(2);
    const dying = await ask(first.url, [{ text: "before " }, { delay_ms: 60_000 }, { text: "never" }], true);
    await dying.body?.getReader().read();
    const living = await ask(second.url, [{ text: "before " }, { delay_ms: 1_000 }, { text: "and after" }], true);
    await first.kill();
    expect(await living.text()).toContain("[DONE]");
    expect((await ask(second.url, hello)).status).toBe(200);
    const rows = await vi.waitFor(async () => {
      const found = await readRows(dataDir);
      expect(found).toHaveLength(3);
      return found;
    }, patience);
    expect(rows.map(({ outcome }) => outcome)).toEqual(["crash", "success", "success"]);
    expect(sim.bill()).toHaveLength(3);
    await vi.waitFor(() => expect(readdirSync(join(dataDir, "journal"))).toHaveLength(1), patience);
  });
});
