/** A long stream passes through the gateway without being kept: 64 MiB in under 32 MiB of extra memory, metered to the end. */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type SimServer, startSim } from "../../src/sim/server/start-sim.ts";

const root = join(import.meta.dirname, "../..");
const mebibyte = 1 << 20;

let sim: SimServer;
let child: ChildProcess;
let url = "";
let logged = "";

/** The gateway in a process of its own, so that neither the simulator's memory nor the client's is counted. */
beforeAll(async () => {
  sim = await startSim({ port: 0 });
  child = spawn(process.execPath, ["src/main.ts", "serve"], {
    cwd: root,
    env: {
      PATH: process.env.PATH,
      NO_COLOR: "1",
      PORT: "0",
      ADMIN_PORT: "0",
      OPENAI_API_KEY: "sk-relay-0001",
      OPENAI_BASE_URL: `${sim.url}/v1`,
      // How busy the test's machine is decides nothing here.
      DRAGOMAN__ADMISSION__OVERLOAD__EVENT_LOOP_MS: "0",
      DRAGOMAN__DISCOVERY__ENABLED: "false",
      DRAGOMAN__LOCAL_EMBEDDINGS__ENABLED: "false",
    },
  });
  let out = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    out += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    logged += text;
  });
  const until = performance.now() + 30_000;
  while (!out.includes("buf curl")) {
    if (child.exitCode !== null || performance.now() > until) throw new Error(`did not start:\n${out}\n${logged}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  url = out.match(/http:\/\/127\.0\.0\.1:\d+/)?.[0] ?? "";
});

afterAll(async () => {
  child?.kill("SIGKILL");
  await sim?.close();
});

/** Resident bytes of the gateway, now. */
function resident(): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))?.[1]) * 1024;
}

/** Reads a stream of that much text and throws it away; gives its bytes and the most memory that was seen. */
async function read(flood: number): Promise<{ bytes: number; peak: number; tail: string }> {
  const script = JSON.stringify({ sim_script: { steps: [{ flood_bytes: flood }] } });
  const body = JSON.stringify({ model: "openai/gpt-4o", stream: true, messages: [{ role: "user", content: script }] });
  const response = await fetch(`${url}/v1/chat/completions`, { method: "POST", headers: { "content-type": "application/json" }, body });
  let bytes = 0;
  let peak = 0;
  let tail = Buffer.alloc(0);
  for await (const chunk of response.body as ReadableStream<Uint8Array>) {
    bytes += chunk.length;
    peak = Math.max(peak, resident());
    tail = Buffer.concat([tail, chunk]).subarray(-64);
  }
  return { bytes, peak, tail: tail.toString() };
}

test("64 MiB", { timeout: 120_000, skip: process.platform !== "linux" }, async () => {
  // The first streams grow the process to what any stream needs: compiled code, the young generation of the heap.
  await read(16 * mebibyte);
  await read(16 * mebibyte);
  const before = resident();
  const { bytes, peak, tail } = await read(64 * mebibyte);
  expect(bytes).toBeGreaterThan(64 * mebibyte);
  expect(tail).toContain("data: [DONE]");
  expect((peak - before) / mebibyte).toBeLessThan(32);
  await sim.settled();
  const row = sim.bill().at(-1);
  await expect.poll(() => logged).toMatch(new RegExp(`"output_tokens":\\s*${row?.outputTokens}|output_tokens=${row?.outputTokens}`));
});
