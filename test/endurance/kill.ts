/**
 * The kill test (reliability.md 4.4 S4, 4.5 P3): a gateway under load is killed at a random moment, started again, killed
 * again. At the end every request that the upstream billed has exactly one ledger row, and nothing is open.
 */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/core/clock.ts";
import { silentLog } from "../../src/core/log.ts";
import { Secret } from "../../src/core/secret.ts";
import { startSim } from "../../src/sim/server/start-sim.ts";
import { createStores } from "../../src/stores/create-stores.ts";
import { compareWithBill, readAllRows } from "./compare-with-bill.ts";
import { type GatewayProcess, startGatewayProcess } from "./gateway-process.ts";

export interface KillOptions {
  readonly seed: number;
  /** How often the gateway is killed. */
  readonly kills: number;
  /** Streams at once. */
  readonly clients: number;
  readonly journal: "os" | "fsync";
  /** Address of an empty PostgreSQL database; undefined: SQLite. */
  readonly databaseUrl?: string | undefined;
}

export interface KillTally {
  readonly seed: number;
  readonly kills: number;
  /** Requests that reached the upstream's model. */
  readonly billed: number;
  readonly rows: number;
  /** Billed requests without a row. */
  readonly lost: number;
  /** Requests with more rows than one. */
  readonly double: number;
  /** Rows that are neither settled nor released, and journals that nobody settled. */
  readonly open: number;
  /** Rows that a crash ended. */
  readonly crashed: number;
  /** Rows of the provider's own counts that differ from its bill. */
  readonly wrong: number;
  /** From each start of a process to its listening, in milliseconds. */
  readonly startsMs: readonly number[];
}

/** From the start of the load to the kill, at most. */
const mostMs = 700;
/** How long the last process may take to settle what the dead ones left. */
const settleMs = 60_000;
const formats = ["chat", "claude", "gem"];

export async function runKillTest({ seed, kills, clients, journal, databaseUrl }: KillOptions): Promise<KillTally> {
  const random = randomOf(seed);
  const directory = mkdtempSync(join(tmpdir(), "dragoman-kill-"));
  const sim = await startSim({ port: 0, keep: 1_000_000 });
  const config = join(directory, "dragoman.json");
  const engine = databaseUrl === undefined ? "sqlite" : "postgres";
  const stores = {
    engine,
    ...(databaseUrl === undefined ? {} : { database_url: databaseUrl, migrate_on_start: true, pool_size: 4 }),
  };
  writeFileSync(
    config,
    JSON.stringify({
      server: { listen: "127.0.0.1:0", listen_admin: "127.0.0.1:0", drain_notice_seconds: 0, drain_seconds: 5 },
      data_dir: join(directory, "data"),
      stores,
      ledger: { journal, reserve_bytes: 1_048_576 },
      discovery: { enabled: false },
      log_level: "error",
      providers: {
        chat: { type: "openai", base_url: `${sim.url}/v1`, api_key: "sk-kill-0001" },
        claude: { type: "anthropic", base_url: sim.url, api_key: "sk-ant-kill-0002" },
        gem: { type: "gemini", base_url: `${sim.url}/v1beta`, api_key: "AIza-kill-0003" },
      },
    }),
  );
  let asked = 0;
  const startsMs: number[] = [];
  let gateway: GatewayProcess | undefined;

  const start = async (): Promise<GatewayProcess> => {
    const begin = performance.now();
    const started = await startGatewayProcess(config);
    startsMs.push(Math.round(performance.now() - begin));
    return started;
  };

  /** Asks again and again until it is stopped or cut off. */
  const ask = async (url: string, stop: AbortSignal): Promise<void> => {
    while (!stop.aborted) {
      const user = `kill-${asked++}`;
      const steps = [{ text: "words before " }, { delay_ms: Math.floor(random() * 40) }, { text: "and after the pause" }];
      try {
        const response = await fetch(`${url}/v1/chat/completions`, {
          method: "POST",
          headers: { "content-type": "application/json", "x-dragoman-user-id": user },
          body: JSON.stringify({
            model: `${formats[Math.floor(random() * formats.length)]}/sim-script`,
            stream: random() < 0.7,
            messages: [{ role: "user", content: JSON.stringify({ sim_script: { steps, id: user } }) }],
          }),
        });
        await response.text();
      } catch {
        // Cut off by the kill.
        return;
      }
    }
  };

  try {
    for (let kill = 0; kill < kills; kill++) {
      gateway = await start();
      const stop = new AbortController();
      const { url } = gateway;
      const asking = Array.from({ length: clients }, () => ask(url, stop.signal));
      await new Promise((resolve) => setTimeout(resolve, random() * mostMs));
      await gateway.kill();
      stop.abort();
      await Promise.all(asking);
    }
    gateway = await start();
    const root = join(directory, "data", "journal");
    const until = performance.now() + settleMs;
    // Its own journal is the only one when those of the dead are settled.
    while (readdirSync(root).length > 1 && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 20));
    await gateway.stop();
    gateway = undefined;
    await sim.settled();

    const store = await createStores({
      engine,
      dataDir: join(directory, "data"),
      databaseUrl: databaseUrl === undefined ? undefined : new Secret(databaseUrl),
      poolSize: 1,
      migrateOnStart: false,
      responses: { maxBytes: 0, ttlMs: 1 },
      clock: systemClock,
      log: silentLog,
    });
    try {
      const rows = await readAllRows(store.ledger);
      const openRows = (await store.ledger.openRows(undefined, { size: 1_000 })).items.length;
      return {
        ...compareWithBill(rows, sim),
        seed,
        kills,
        rows: rows.length,
        open: openRows + readdirSync(root).length,
        startsMs,
      };
    } finally {
      await store.close();
    }
  } finally {
    await gateway?.kill();
    await sim.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Numbers from 0 to 1, the same for the same seed; mulberry32. */
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
