/**
 * The accounting matrix (reliability.md 3 and 4.8): whatever becomes of a call, over every wire format, the ledger has
 * one row for each attempt, and the rows agree with the bill that the simulated upstream keeps for itself: to the
 * nano-dollar where it said its counts, within 15 % or 8 tokens, and marked, where it did not.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { UsageBasis } from "../../gen/dragoman/v1/usage_pb.ts";
import { systemClock } from "../../src/core/clock.ts";
import type { LedgerRow } from "../../src/core/ledger-row.ts";
import { silentLog } from "../../src/core/log.ts";
import type { Stores } from "../../src/core/stores.ts";
import type { BillRow, SimServer } from "../../src/sim/server/start-sim.ts";
import { createStores } from "../../src/stores/create-stores.ts";
import { type ExpectedRow, type Scenario, scenarios } from "./accounting-cells.ts";
import { type Gateway, startGateway } from "./gateway.ts";

const formats: Readonly<Record<string, (sim: SimServer) => object>> = {
  "openai-chat": ({ url }) => ({ type: "openai", base_url: `${url}/v1`, api_key: "sk-books-0001" }),
  "openai-responses": ({ url }) => ({ type: "openai-responses", base_url: `${url}/v1`, api_key: "sk-books-0002" }),
  "anthropic-messages": ({ url }) => ({ type: "anthropic", base_url: url, api_key: "sk-ant-books-0003" }),
  gemini: ({ url }) => ({ type: "gemini", base_url: `${url}/v1beta`, api_key: "AIza-books-0004" }),
  "bedrock-converse": ({ url }) => ({ type: "bedrock", base_url: url, api_key: "bedrock-books-0005" }),
  "cohere-chat": ({ url }) => ({ type: "cohere", base_url: url, api_key: "co-books-00006" }),
};

/** Dollars for a million tokens, as configured; a token then costs so many nano-dollars. */
const dollars = { input: "3", cache_read: "0.3", output: "15" };
const nano = { input: 3_000n, cacheRead: 300n, output: 15_000n };

let gateway: Gateway;
let stores: Stores;
let directory: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "dragoman-books-"));
  gateway = await startGateway({
    configure: (sim) => ({
      data_dir: directory,
      stores: { engine: "sqlite" },
      ledger: { reserve_bytes: 0 },
      request_log: { queue: { flush_ms: 10 } },
      prices: [{ provider: "*", model: "*", rates: dollars }].flatMap((price) =>
        providersOf(sim).map(([provider]) => ({ ...price, provider })),
      ),
      providers: Object.fromEntries(providersOf(sim)),
      routes: Object.fromEntries(
        Object.keys(formats).map((name) => [
          `${name}-failover`,
          { strategy: "fallback", targets: ["", "-second"].map((which) => ({ provider: name + which, model: "sim-script" })) },
        ]),
      ),
    }),
  });
  stores = await createStores({
    engine: "sqlite",
    dataDir: directory,
    databaseUrl: undefined,
    poolSize: 1,
    migrateOnStart: false,
    responses: { maxBytes: 0, ttlMs: 1 },
    clock: systemClock,
    log: silentLog,
  });
});
afterAll(async () => {
  await gateway?.close();
  await stores?.close();
  rmSync(directory, { recursive: true, force: true });
  console.log(`accounting: ${Object.keys(formats).length * scenarios.length} cells, ${billed.rows} rows, ${billed.exact} exact`);
});

const billed = { rows: 0, exact: 0 };

function providersOf(sim: SimServer): [string, object][] {
  return Object.entries(formats).flatMap(([name, configure]): [string, object][] => [
    [name, configure(sim)],
    [`${name}-second`, configure(sim)],
    [`${name}-drain`, { ...configure(sim), on_disconnect: "drain" }],
    [`${name}-no_bill`, { ...configure(sim), on_disconnect: "no_bill" }],
  ]);
}

let asked = 0;

/** Gives the end user by which the call's rows are found, once the client is done with it. */
async function run(format: string, { stream, script, via, leave, timeoutMs, tools }: Scenario): Promise<string> {
  const user = `cell-${asked++}`;
  const model = via === "failover" ? `${format}-failover` : `${via === "plain" ? format : `${format}-${via}`}/sim-script`;
  const tool = {
    type: "function",
    function: { name: "look_up", parameters: { type: "object", properties: { what: { type: "string" } } } },
  };
  const stop = new AbortController();
  const asking = fetch(`${gateway.url}/v1/chat/completions`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "x-dragoman-user-id": user,
      ...(timeoutMs === undefined ? {} : { "x-dragoman-timeout-ms": String(timeoutMs) }),
    },
    body: JSON.stringify({
      model,
      stream,
      messages: [{ role: "user", content: JSON.stringify({ sim_script: { ...script, id: user } }) }],
      ...(tools ? { tools: [tool] } : {}),
    }),
    signal: stop.signal,
  });
  if (leave === "before") {
    await vi.waitFor(() => expect(gateway.sim.bill()).toHaveLength(1), { timeout: 5_000, interval: 3 });
    stop.abort();
    await asking.catch(() => {});
    return user;
  }
  const response = await asking;
  if (leave === "never") {
    await response.text();
    return user;
  }
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  const until = leave === "mid" ? '"content":"some' : '"finish_reason":"stop"';
  for (let text = ""; !text.includes(until); ) text += (await reader?.read())?.value ?? "";
  stop.abort();
  await reader?.cancel().catch(() => {});
  return user;
}

async function rowsOf(user: string): Promise<readonly LedgerRow[]> {
  const { items } = await stores.ledger.scan("default", { endUser: user }, { size: 100 });
  return [...items].sort((left, right) => left.attempt - right.attempt);
}

function judge(row: LedgerRow, bill: BillRow, expected: ExpectedRow, leaves: boolean): void {
  billed.rows++;
  expect(row.state).toBe("settled");
  expect(row.status).toBe(expected.status);
  const { usage } = row;
  if (expected.basis === "none") {
    expect({ usage, cost: row.costNano, charge: row.chargeNano }).toEqual({ usage: undefined, cost: 0n, charge: 0n });
    if (!leaves) expect({ input: bill.inputTokens, output: bill.outputTokens }).toEqual({ input: 0, output: 0 });
    return;
  }
  const [input, output, cached] = [usage?.inputTokens ?? -1, usage?.outputTokens ?? -1, usage?.cacheReadTokens ?? 0];
  expect(usage?.basis).toBe(expected.basis === "provider" ? UsageBasis.PROVIDER : UsageBasis.ESTIMATED);
  if (expected.basis === "provider") {
    billed.exact++;
    const { stated } = expected;
    if (stated === undefined)
      expect({ input, output, cached }).toEqual({ input: bill.inputTokens, output: bill.outputTokens, cached: bill.cacheReadTokens });
    else expect({ input, output }).toEqual(stated);
  } else if (bill.status !== 0 || bill.aborted) {
    expectNear(input, bill.inputTokens);
    expectNear(output, bill.outputTokens);
  }
  expect(Math.min(input, output, cached)).toBeGreaterThanOrEqual(0);
  const cost = BigInt(input - cached) * nano.input + BigInt(cached) * nano.cacheRead + BigInt(output) * nano.output;
  expect(row.costNano).toBe(cost);
  // Failures are not charged; who leaves pays.
  expect(row.chargeNano).toBe(row.status === "success" || row.status === "cancelled" ? cost : 0n);
}

function expectNear(ours: number, theirs: number): void {
  expect(Math.abs(ours - theirs)).toBeLessThanOrEqual(Math.max(8, theirs * 0.15));
}

describe.each(Object.keys(formats))("%s", (format) => {
  test.each(scenarios.map((scenario) => [scenario.name, scenario] as const))("%s", async (_, scenario) => {
    gateway.reset();
    const user = await run(format, scenario);
    await gateway.sim.settled();
    const bill = gateway.sim.bill();
    await vi.waitFor(async () => expect(await rowsOf(user)).toHaveLength(scenario.rows.length), { timeout: 5_000, interval: 10 });
    const rows = await rowsOf(user);
    expect(bill).toHaveLength(rows.length);
    for (const [index, expected] of scenario.rows.entries()) {
      judge(rows[index] as LedgerRow, bill[index] as BillRow, expected, scenario.leave !== "never");
    }
    await expectLogAgrees(user, rows);
  });
});

/** Each call has one log record, which says what its rows say: of the answer on success, of all that was tried on failure. */
async function expectLogAgrees(endUser: string, rows: readonly LedgerRow[]): Promise<void> {
  const records = await vi.waitFor(
    async () => {
      const { items } = await stores.requestLog.query("default", { endUser }, { size: 10 });
      expect(items).toHaveLength(1);
      return items;
    },
    { timeout: 5_000, interval: 10 },
  );
  const [record] = records;
  const counted = (record?.status === "success" ? rows.slice(-1) : rows).filter(({ usage }) => usage !== undefined);
  const sum = (pick: (row: LedgerRow) => number | undefined) => counted.reduce((total, row) => total + (pick(row) ?? 0), 0);
  expect(record?.attempts.map(({ status }) => status)).toEqual(rows.map(({ status }) => status));
  expect({ input: record?.promptTokens ?? 0, output: record?.completionTokens ?? 0, cost: record?.costNano }).toEqual({
    input: sum(({ usage }) => usage?.inputTokens),
    output: sum(({ usage }) => usage?.outputTokens),
    cost: counted.reduce((total, { costNano }) => total + (costNano ?? 0n), 0n),
  });
  expect(record?.usageEstimated).toBe(counted.some(({ usage }) => usage?.basis === UsageBasis.ESTIMATED));
}

test("at rest nothing is open, and sums are the sum of the rows", async () => {
  expect((await stores.ledger.openRows(undefined, { size: 1 })).items).toEqual([]);
  const [sum] = await stores.ledger.sum("default", {}, { by: [] });
  const rows: LedgerRow[] = [];
  for (let cursor: string | undefined; ; ) {
    const { items, next } = await stores.ledger.scan("default", { state: "settled" }, { size: 1_000, cursor });
    rows.push(...items);
    if (next === undefined) break;
    cursor = next;
  }
  expect(new Set(rows.map(({ usageId }) => usageId)).size).toBe(rows.length);
  expect(sum?.attempts).toBe(rows.length);
  expect(sum?.costNano).toBe(rows.reduce((total, { costNano }) => total + (costNano ?? 0n), 0n));
  expect(sum?.chargeNano).toBe(rows.reduce((total, { chargeNano }) => total + (chargeNano ?? 0n), 0n));
});
