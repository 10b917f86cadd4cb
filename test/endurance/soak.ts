/** The short soak (reliability.md 4.1, SO1): memory after much traffic and many aborts, and the ledger beside the bill. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { systemClock } from "../../src/core/clock.ts";
import { silentLog } from "../../src/core/log.ts";
import { startSim } from "../../src/sim/server/start-sim.ts";
import { createStores } from "../../src/stores/create-stores.ts";
import { type Comparison, compareWithBill, readAllRows } from "./compare-with-bill.ts";
import type { EnduranceRun } from "./endurance-run.ts";
import { type GatewayProcess, startGatewayProcess } from "./gateway-process.ts";

export interface SoakTally extends Comparison {
  readonly requests: number;
  readonly aborted: number;
  /** Answers that were neither whole nor left by their caller. */
  readonly failed: number;
  /** Live heap after collection: when the caches are warm, and at the end, in bytes. */
  readonly heapBefore: number;
  readonly heapAfter: number;
  readonly rows: number;
  readonly open: number;
  readonly seconds: number;
}

const formats = ["chat", "claude", "gem"];
/** Every so many-th request is left by its caller. */
const abortEvery = 5;

export interface SoakOptions {
  readonly requests: number;
  /** Of them those before the first look: what is made once and kept is there then. */
  readonly warmUp: number;
  readonly clients: number;
}

export async function runSoak({ requests, warmUp, clients }: SoakOptions): Promise<SoakTally> {
  const directory = mkdtempSync(join(tmpdir(), "dragoman-soak-"));
  const sim = await startSim({ port: 0, keep: 1_000_000 });
  const heapFile = join(directory, "heap");
  const config = join(directory, "dragoman.json");
  writeFileSync(join(directory, "heap.mjs"), tellHeap(heapFile));
  writeFileSync(
    config,
    JSON.stringify({
      server: { listen: "127.0.0.1:0", listen_admin: "127.0.0.1:0", drain_notice_seconds: 0, drain_seconds: 5 },
      data_dir: join(directory, "data"),
      stores: { engine: "sqlite" },
      ledger: { reserve_bytes: 0 },
      discovery: { enabled: false },
      local_embeddings: { enabled: false },
      log_level: "error",
      limits: { rules: [{ subject: "key", concurrency: 1_000 }] },
      providers: {
        chat: { type: "openai", base_url: `${sim.url}/v1`, api_key: "sk-soak-0001" },
        claude: { type: "anthropic", base_url: sim.url, api_key: "sk-ant-soak-0002" },
        gem: { type: "gemini", base_url: `${sim.url}/v1beta`, api_key: "AIza-soak-0003" },
      },
    }),
  );
  let gateway: GatewayProcess | undefined;
  try {
    const running = await startGatewayProcess(config, [], ["--import", join(directory, "heap.mjs")]);
    gateway = running;
    const begin = performance.now();
    let asked = 0;
    let aborted = 0;
    let failed = 0;
    const askUntil = async (most: number): Promise<void> => {
      const ask = async (): Promise<void> => {
        const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
        while (asked < most) {
          const fate = await askOne(running.url, agent, asked++);
          if (fate === "left") aborted++;
          if (fate === "failed") failed++;
        }
        agent.destroy();
      };
      await Promise.all(Array.from({ length: clients }, ask));
      await sim.settled();
    };
    await askUntil(warmUp);
    const heapBefore = await readHeap(running.pid, heapFile);
    await askUntil(requests);
    const heapAfter = await readHeap(running.pid, heapFile);
    const seconds = Math.round((performance.now() - begin) / 1_000);
    await running.stop();
    gateway = undefined;
    const store = await createStores({
      engine: "sqlite",
      dataDir: join(directory, "data"),
      databaseUrl: undefined,
      migrateOnStart: false,
      responses: { maxBytes: 0, ttlMs: 1 },
      clock: systemClock,
      log: silentLog,
    });
    try {
      const rows = await readAllRows(store.ledger);
      const open = (await store.ledger.openRows(undefined, { size: 1_000 })).items.length;
      return { requests, aborted, failed, heapBefore, heapAfter, rows: rows.length, open, seconds, ...compareWithBill(rows, sim) };
    } finally {
      await store.close();
    }
  } finally {
    await gateway?.kill();
    await sim.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Loaded before the program: on SIGWINCH it collects garbage and writes what is left of the heap into a file. */
function tellHeap(file: string): string {
  return `import { writeFileSync, renameSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc");
process.on("SIGWINCH", async () => {
  // What only finalizers let go is garbage of the next round.
  for (let round = 0; round < 4; round++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const path = ${JSON.stringify(file)};
  writeFileSync(path + ".new", String(process.memoryUsage().heapUsed));
  renameSync(path + ".new", path);
});
`;
}

async function readHeap(pid: number, file: string): Promise<number> {
  // Records on their way to the store are no leak.
  await pause(1_000);
  rmSync(file, { force: true });
  process.kill(pid, "SIGWINCH");
  for (const until = performance.now() + 30_000; performance.now() < until; await pause(50)) {
    try {
      return Number(readFileSync(file, "utf8"));
    } catch {
      // Not yet.
    }
  }
  throw new Error("the gateway did not tell its heap");
}

function askOne(url: string, agent: http.Agent, index: number): Promise<"whole" | "left" | "failed"> {
  const user = `soak-${index}`;
  const leaves = index % abortEvery === 0;
  const streams = leaves || index % 2 === 0;
  const steps = leaves ? [{ text: "words" }, { delay_ms: 30_000 }] : [{ text: "words before " }, { text: "and after" }];
  const body = JSON.stringify({
    model: `${formats[index % formats.length]}/sim-script`,
    stream: streams,
    messages: [{ role: "user", content: JSON.stringify({ sim_script: { steps, id: user } }) }],
  });
  return new Promise((resolve) => {
    let text = "";
    const headers = { "content-type": "application/json", "x-dragoman-user-id": user };
    const request = http.request(`${url}/v1/chat/completions`, { method: "POST", agent, headers }, (response) => {
      response
        .on("error", () => undefined)
        .on("data", (piece: Buffer) => {
          text += piece.toString();
          if (leaves && text.includes('"content":"')) request.destroy();
        });
    });
    request
      .on("error", () => undefined)
      .on("close", () => {
        if (leaves) resolve(request.destroyed && text.includes('"content":"') ? "left" : "failed");
        else resolve(text.includes(streams ? "data: [DONE]" : '"finish_reason":"stop"') ? "whole" : "failed");
      });
    request.end(body);
  });
}

const mebibyte = 1_048_576;
const most = 5 * mebibyte;

export const soakRun: EnduranceRun = {
  name: "soak",
  about:
    "Streams, whole answers and callers that leave, over three wire formats. The live heap grows by 5 MiB at most, and the ledger is the bill.",
  options: { requests: 50_000, callers: 32 },
  async run({ requests = 1, callers = 1 }, print) {
    const tally = await runSoak({ requests, warmUp: Math.min(5_000, requests), clients: callers });
    print(JSON.stringify(tally));
    const { aborted, failed, heapBefore, heapAfter, billed, rows, lost, double, wrong, open } = tally;
    const cells = [
      ...[requests, aborted, failed].map(String),
      ...[heapBefore, heapAfter].map((bytes) => `${(bytes / mebibyte).toFixed(1)} MiB`),
      ...[billed, rows, lost, double, wrong, open].map(String),
    ];
    return {
      passed: heapAfter - heapBefore <= most && failed + lost + double + wrong + open === 0 && rows >= billed,
      lines: [
        "| requests | of them left | failed | heap warm | heap at the end | billed upstream | rows | lost | double | wrong counts | open |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        `| ${cells.join(" | ")} |`,
      ],
    };
  },
};
