/** `dragoman usage`, `requests` and `limits list` over a store that a gateway left. */
import { beforeAll, expect, test } from "vitest";
import { run } from "../../src/cli/run.ts";
import { systemClock } from "../../src/core/clock.ts";
import { ulid } from "../../src/core/id.ts";
import { silentLog } from "../../src/core/log.ts";
import { createStores } from "../../src/stores/create-stores.ts";
import { temporaryDirectory } from "../config/temporary.ts";
import { intentOf, settlementOf, usageOf } from "../ledger/rows.ts";
import { logged } from "../stores/records.ts";

const directory = temporaryDirectory();
const now = Date.now();
const hourMs = 3_600_000;
const requestId = ulid();

async function dragoman(...words: string[]): Promise<{ code: number; out: string; error: string }> {
  let out = "";
  let error = "";
  const terminal = {
    write: (text: string) => void (out += text),
    writeError: (text: string) => void (error += text),
    color: false,
    env: { DRAGOMAN_DATA_DIR: `${directory.path}/data`, DRAGOMAN_CONFIG: `${directory.path}/dragoman.yaml` },
    cwd: directory.path,
  };
  const code = await run(words, terminal);
  return { code, out, error };
}

beforeAll(async () => {
  directory.write(
    "dragoman.yaml",
    'limits: { rules: [{ subject: key, requests_per_minute: 600, concurrency: 5 }, { subject: tenant, tenant: other, usd_per_day: "1" }] }\n',
  );
  const stores = await createStores({
    engine: "sqlite",
    dataDir: `${directory.path}/data`,
    databaseUrl: undefined,
    poolSize: 1,
    migrateOnStart: true,
    responses: { maxBytes: 1, ttlMs: 1 },
    clock: systemClock,
    log: silentLog,
  });
  const row = (upstreamModel: string, principal: string, costNano: bigint | undefined, startedAt = now - hourMs) => {
    const intent = intentOf({ upstreamModel, principal, startedAt });
    const usage = usageOf(1_000, 200);
    return { ...intent, ...settlementOf(intent.usageId, { costNano, chargeNano: costNano, usage }), state: "settled" as const };
  };
  await stores.ledger.append([
    row("big", "k1", 1_500_000_000n),
    row("big", "k2", 250_000_000n),
    row("small", "k1", undefined),
    row("big", "k1", 9_000_000_000n, now - 40 * 24 * hourMs),
  ]);
  await stores.requestLog.append([
    logged({ tenant: "default", requestId, status: "success", upstreamModel: "big", createdAt: now - 2_000, costNano: 5_000_000n }),
    logged({ tenant: "default", status: "error", errorCode: "rate_limited", createdAt: now - 1_000 }),
  ]);
  await stores.limitRules.create("default", {
    id: "few",
    subjectKind: "key",
    subjectId: "k1",
    settingsJson: '{"requests_per_minute":60,"cost_nano_usd_per_month":2500000000}',
    enabled: true,
  });
  await stores.close();
});

/** Cells of a line, by the gaps between them. */
const cells = (line: string | undefined) => (line ?? "").trim().split(/ {2,}/);

test("usage is summed by model over the last 30 days, with a last line for all, and says what has no price", async () => {
  const { code, out } = await dragoman("usage");
  const lines = out.split("\n");
  expect(code).toBe(0);
  expect(lines.slice(0, 4).map(cells)).toEqual([
    ["MODEL", "CALLS", "ERRORS", "INPUT", "OUTPUT", "COST USD"],
    ["big", "2", "0", "2,000", "400", "1.75"],
    ["small", "1", "0", "1,000", "200", "-"],
    ["all", "3", "0", "3,000", "600", "1.75"],
  ]);
  expect(out).toContain("1 attempts have no known price");
});

test("usage by key and day, of a longer time, and as JSON", async () => {
  const day = new Date(now - 40 * 24 * hourMs).toISOString().slice(0, 10);
  const { out } = await dragoman("usage", "--by", "day,key", "--since", "60d", "--key-id", "k1");
  expect(cells(out.split("\n")[1])).toEqual([day, "k1", "1", "0", "1,000", "200", "9"]);
  const json = await dragoman("usage", "--by", "key", "--json");
  const sums = json.out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(sums.map(({ costUsd }) => costUsd)).toEqual(["1.5", "0.25"]);
});

test("usage as comma-separated values: every sum of every group, in exact dollars", async () => {
  const { out } = await dragoman("usage", "--by", "day,model", "--csv");
  const [names, ...lines] = out.split("\r\n").map((line) => line.split(","));
  expect(names).toEqual(
    "day,model,attempts,calls,errors,unpriced,estimated,input_tokens,output_tokens,cache_read_tokens,cache_write_tokens,reasoning_tokens,cost_usd,charge_usd".split(
      ",",
    ),
  );
  expect(lines.filter(([, model]) => model === "small").map((line) => line.slice(1))).toEqual([
    ["small", "1", "1", "0", "1", "0", "1000", "200", "0", "0", "0", "", ""],
  ]);
  const costs = lines.filter(([, model]) => model === "big").map((line) => Number(line[12]));
  expect(costs.reduce((sum, cost) => sum + cost, 0)).toBe(1.75);
  expect(await dragoman("usage", "--csv", "--json")).toMatchObject({ code: 64, out: "" });
});

test("requests are shown with the newest last, filtered, and one of them whole", async () => {
  const { out } = await dragoman("requests");
  expect(out.indexOf(requestId)).toBeGreaterThan(0);
  expect(out.indexOf("rate_limited")).toBeGreaterThan(out.indexOf(requestId));
  expect((await dragoman("requests", "--last", "1")).out).not.toContain(requestId);
  expect((await dragoman("requests", "--status", "error")).out).not.toContain(requestId);
  expect((await dragoman("requests", "--error", "timeout")).out).toBe("no calls fit\n");
  expect(JSON.parse((await dragoman("requests", requestId, "--json")).out)).toMatchObject({ request: { requestId, costUsd: "0.005" } });
  expect((await dragoman("requests", requestId)).out).toMatch(new RegExp(`^${requestId} [^]*0\\.005 USD`));
  expect(await dragoman("requests", "nothing")).toMatchObject({ code: 64, out: "" });
});

test("limits of the configuration stand before those of the store, each limit on a line", async () => {
  const { out } = await dragoman("limits", "list");
  expect(out.trim().split("\n").map(cells)).toEqual([
    ["ID", "SUBJECT", "WHICH", "LIMIT", "WITHOUT REDIS", "STATE"],
    ["config", "key", "each", "600 requests/min", "default", "on"],
    ["5 at once"],
    ["few", "key", "k1", "60 requests/min", "default", "on"],
    ["2.5 USD/month"],
  ]);
  const [, stored] = (await dragoman("limits", "list", "--json")).out.trim().split("\n");
  expect(JSON.parse(stored ?? "")).toMatchObject({ source: "store", id: "few", requestsPerMinute: "60" });
});

test("no line is wider than 100 columns", async () => {
  for (const words of [["usage", "--by", "day,name,model,provider,key,outcome"], ["requests"], ["limits", "list"]]) {
    const { out } = await dragoman(...words);
    expect(Math.max(...out.split("\n").map(({ length }) => length))).toBeLessThanOrEqual(100);
  }
});

test.each([
  [["usage", "--by", "modle"], 'did you mean "model"'],
  [["usage", "--by", "day,hour"], "not both"],
  [["usage", "--since", "yesterday"], "--since"],
  [["requests", "--status", "bad"], "--status"],
  [["requests", "--last", "many"], "--last"],
  [["usage", "--url", "nowhere"], "--url"],
])("%j says what is wrong", async (words, expected) => {
  const { code, out, error } = await dragoman(...words);
  expect({ code, out }).toEqual({ code: 64, out: "" });
  expect(error).toContain(expected);
});

test("an admin port that is away is named, with what to do", async () => {
  const { code, error } = await dragoman("usage", "--url", "http://127.0.0.1:1");
  expect(code).toBe(69);
  expect(error).toContain("http://127.0.0.1:1 is away");
});
