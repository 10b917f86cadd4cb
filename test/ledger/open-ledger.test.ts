import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { AttemptSchema } from "../../gen/dragoman/v1/usage_pb.ts";
import type { Call } from "../../src/core/call.ts";
import { systemClock } from "../../src/core/clock.ts";
import { ulid } from "../../src/core/id.ts";
import type { AttemptEnding } from "../../src/core/ledger.ts";
import type { LedgerRow, LedgerSettlement } from "../../src/core/ledger-row.ts";
import { silentLog } from "../../src/core/log.ts";
import { listOwners, SilenceWatch, takeOverDead, touchOwner } from "../../src/ledger/journal/journal-owner.ts";
import { journalVersion, writeRecord } from "../../src/ledger/journal/record.ts";
import { segmentName } from "../../src/ledger/journal/segment.ts";
import { journalRoot, type LedgerOptions, type OpenLedger, openLedger } from "../../src/ledger/open-ledger.ts";
import { spentWithEstates } from "../../src/ledger/spent-with-estates.ts";
import { intentOf, SpyStore, settlementOf } from "./rows.ts";

let directory: string;
let store: SpyStore;
const ledgers: OpenLedger[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "dragoman-ledger-"));
  store = new SpyStore();
});
afterEach(async () => {
  await Promise.all(ledgers.splice(0).map((ledger) => ledger.close(0)));
  rmSync(directory, { recursive: true, force: true });
});

async function open(options: Partial<LedgerOptions> = {}): Promise<OpenLedger> {
  const ledger = await openLedger({
    mode: "os",
    journalRoot: journalRoot(directory),
    segmentBytes: 1_048_576,
    maxJournalBytes: 1 << 30,
    reserveBytes: 0,
    maxQueuedRows: 1_000,
    store,
    chargesFailures: false,
    taps: [],
    clock: systemClock,
    log: silentLog,
    ...options,
  });
  ledgers.push(ledger);
  return ledger;
}

const endingOf = (settlement: LedgerSettlement): AttemptEnding => ({
  call: {} as Call,
  attempt: create(AttemptSchema, { usageId: settlement.usageId }),
  settlement,
  error: undefined,
});

async function runOne({ ledger }: OpenLedger): Promise<string> {
  const { epoch: _, ...intent } = intentOf();
  await ledger.begin(intent);
  ledger.settle(endingOf(settlementOf(intent.usageId)));
  return intent.usageId;
}

/** A copy of a ledger's journal, as the death of its process leaves it: with an owner that does not run. */
function estateOf({ epoch }: OpenLedger, name = epoch): string {
  const place = join(directory, "estate", "journal", name);
  cpSync(join(journalRoot(directory), epoch), place, { recursive: true });
  const owner = JSON.parse(readFileSync(join(place, "owner.json"), "utf8"));
  writeFileSync(join(place, "owner.json"), JSON.stringify({ ...owner, startTime: "1" }));
  return join(directory, "estate");
}

describe("a ledger with a journal", () => {
  test("every row reaches the store once, and a clean stop leaves no file", async () => {
    const ledger = await open();
    const ids = await Promise.all(Array.from({ length: 50 }, () => runOne(ledger)));
    await ledger.idle();
    expect([...store.order].sort()).toEqual([...ids].sort());
    expect(store.rows.get(ids[0] as string)).toMatchObject({
      epoch: ledger.epoch,
      state: "settled",
      reservedNano: 12_345_678_901_234_567n,
    });
    await ledger.close(1_000);
    expect(readdirSync(journalRoot(directory))).toEqual([]);
  });

  test("a second settlement has no effect and is a logged fault", async () => {
    const errors: string[] = [];
    const ended = vi.fn();
    const ledger = await open({ log: { ...silentLog, error: (message) => void errors.push(message) }, taps: [{ attemptEnded: ended }] });
    const { epoch: _, ...intent } = intentOf();
    await ledger.ledger.begin(intent);
    ledger.ledger.settle(endingOf(settlementOf(intent.usageId)));
    ledger.ledger.settle(endingOf(settlementOf(intent.usageId, { outcome: "timeout" })));
    await ledger.idle();
    expect(store.rows.get(intent.usageId)?.outcome).toBe("success");
    expect(ended).toHaveBeenCalledTimes(1);
    expect(ledger.state().repeated).toBe(1);
    expect(errors).toHaveLength(1);
  });

  test("S6: while the store is away calls go on, and their rows arrive in order when it is back", async () => {
    store.away = true;
    const ledger = await open();
    const ids: string[] = [];
    for (let count = 0; count < 30; count++) ids.push(await runOne(ledger));
    await vi.waitFor(() => expect(store.asked).toBeGreaterThan(1));
    expect(store.rows.size).toBe(0);
    store.away = false;
    await ledger.idle();
    expect(store.order).toEqual(ids);
  });

  test("rows that have no room in memory come out of the journal", async () => {
    store.away = true;
    const ledger = await open({ maxQueuedRows: 5, segmentBytes: 8_192 });
    const ids: string[] = [];
    for (let count = 0; count < 60; count++) ids.push(await runOne(ledger));
    expect(ledger.state()).toMatchObject({ queued: 5, lost: 0 });
    store.away = false;
    await ledger.idle();
    expect([...store.order].sort()).toEqual([...ids].sort());
    await vi.waitFor(() => expect(ledger.state().journalSegments).toBe(1));
    await ledger.close(1_000);
    expect(readdirSync(journalRoot(directory))).toEqual([]);
  });

  test("what the store did not take before the stop is shipped by the next process", async () => {
    store.away = true;
    const ledger = await open();
    const id = await runOne(ledger);
    await ledger.close(0);
    expect(readdirSync(journalRoot(directory))).toEqual([ledger.epoch]);
    store.away = false;
    const next = await open();
    await next.idle();
    expect(store.order).toEqual([id]);
  });

  test("a row that the store refuses holds up no other, and its journal is kept", async () => {
    const ledger = await open();
    const { epoch: _, ...bad } = intentOf();
    store.refused.add(bad.usageId);
    await ledger.ledger.begin(bad);
    ledger.ledger.settle(endingOf(settlementOf(bad.usageId)));
    const good = await runOne(ledger);
    await ledger.idle();
    expect(store.order).toEqual([good]);
    expect(ledger.state().refused).toBe(1);
    await ledger.close(1_000);
    expect(readdirSync(journalRoot(directory))).toEqual([ledger.epoch]);
  });

  test("a journal that cannot be made stops the start with the path", async () => {
    writeFileSync(join(directory, "journal"), "a file");
    await expect(open()).rejects.toMatchObject({ exitCode: 74, message: expect.stringContaining(join(directory, "journal")) });
  });
});

describe("the estate of a process that died", () => {
  test("what was over is shipped, what was open is settled as a crash, estimated from its last checkpoint; then it is gone", async () => {
    const dead = await open();
    const over = await runOne(dead);
    const [streamed, silent] = [intentOf({ estimatedInputTokens: 21 }), intentOf({ estimatedInputTokens: 33 })];
    await dead.ledger.begin(streamed);
    dead.ledger.checkpoint(streamed.usageId, { inputTokens: undefined, outputTokens: 2_345 });
    await dead.ledger.begin(silent);
    await dead.idle();
    const estate = estateOf(dead);
    store.rows.clear();

    const next = await open({ journalRoot: journalRoot(estate) });
    await next.idle();
    expect(store.rows.get(over)).toMatchObject({ outcome: "success", epoch: dead.epoch });
    expect(store.rows.get(streamed.usageId)).toMatchObject({
      state: "settled",
      outcome: "crash",
      status: "error",
      chargeNano: 0n,
      usage: { inputTokens: 21, outputTokens: 2_345, basis: 3 },
    });
    expect(store.rows.get(silent.usageId)).toMatchObject({ outcome: "crash", usage: { inputTokens: 33, outputTokens: 0 } });
    expect(store.rows.size).toBe(3);
    expect(readdirSync(journalRoot(estate))).toEqual([next.epoch]);
  });

  test("where failures are charged, a crash is too, at the price of its time", async () => {
    const dead = await open();
    const intent = intentOf({ estimatedInputTokens: 10 });
    await dead.ledger.begin(intent);
    const price = { tiers: [{ aboveInputTokens: 0, rates: { input: 2_000_000n, output: 1_000_000n } }], version: "v7", source: "tests" };
    const next = await open({ journalRoot: journalRoot(estateOf(dead)), chargesFailures: true, prices: { price: () => price } });
    await next.idle();
    expect(store.rows.get(intent.usageId)).toMatchObject({ costNano: 20n, chargeNano: 20n, pricingVersion: "v7" });
  });

  test("S8: a damaged segment is named by file and byte and kept; what is behind the damage arrives", async () => {
    const dead = await open();
    const ids: string[] = [];
    for (let count = 0; count < 5; count++) ids.push(await runOne(dead));
    await dead.idle();
    const root = journalRoot(estateOf(dead));
    const path = join(root, dead.epoch, segmentName(1));
    const bytes = readFileSync(path);
    const at = bytes.indexOf(ids[2] as string);
    bytes[at] = (bytes[at] as number) ^ 1;
    writeFileSync(path, bytes);
    store.rows.clear();
    const errors: unknown[] = [];
    const next = await open({ journalRoot: root, log: { ...silentLog, error: (message, fields) => void errors.push([message, fields]) } });
    await next.idle();
    expect([...store.rows.keys()]).toEqual(ids.toSpliced(2, 1));
    expect(errors).toEqual([
      [expect.stringContaining("damaged"), { file: expect.stringContaining(segmentName(1)), bytes: expect.any(Number) }],
    ]);
    const kept = join(root, `${dead.epoch}.damaged`);
    expect(readFileSync(join(kept, segmentName(1))).equals(bytes)).toBe(true);
    expect(readdirSync(root).sort()).toEqual([next.epoch, `${dead.epoch}.damaged`].sort());
    // The next start leaves it alone.
    await (await open({ journalRoot: root })).idle();
    expect(existsSync(kept)).toBe(true);
  });

  test("S9: the journal of a newer program is left to it", async () => {
    const dead = await open();
    await runOne(dead);
    await dead.idle();
    const root = journalRoot(estateOf(dead));
    const path = join(root, dead.epoch, segmentName(1));
    const header = { version: journalVersion + 1, epoch: dead.epoch, number: 1, previous: undefined };
    const bytes = Buffer.concat([writeRecord({ is: "header", header }), readFileSync(path)]);
    writeFileSync(path, bytes);
    store.rows.clear();
    const errors: string[] = [];
    const next = await open({ journalRoot: root, log: { ...silentLog, error: (message) => void errors.push(message) } });
    await next.idle();
    expect(store.rows.size).toBe(0);
    expect(errors).toEqual([expect.stringContaining("newer program")]);
    const [left] = await listOwners(root);
    expect(left).toMatchObject({ alive: false, name: `${dead.epoch}~${next.epoch}` });
    expect(readFileSync(join(root, left?.name ?? "", segmentName(1))).equals(bytes)).toBe(true);
  });

  test("of another container: a clock that was set forward makes nobody dead, silence does", async () => {
    const dead = await open();
    await runOne(dead);
    await dead.idle();
    const root = journalRoot(estateOf(dead));
    const owner = join(root, dead.epoch, "owner.json");
    writeFileSync(owner, JSON.stringify({ ...JSON.parse(readFileSync(owner, "utf8")), namespace: "pid:[1]" }));
    // An hour ago by the wall.
    utimesSync(owner, Date.now() / 1_000 - 3_600, Date.now() / 1_000 - 3_600);
    let now = 0;
    const watch = new SilenceWatch({ now: () => now });
    const take = () => takeOverDead(root, ulid(), watch);
    expect(await take()).toEqual([]);
    now += 9_000;
    expect(await take()).toEqual([]);
    await touchOwner(join(root, dead.epoch));
    utimesSync(owner, Date.now() / 1_000 - 60, Date.now() / 1_000 - 60);
    now += 9_000;
    expect(await take()).toEqual([]);
    now += 11_000;
    expect(await take()).toHaveLength(1);
  });

  test("two that start at once: one takes it, and rows come once", async () => {
    const dead = await open();
    const ids = await Promise.all(Array.from({ length: 20 }, () => runOne(dead)));
    await dead.ledger.begin(intentOf());
    await dead.idle();
    const root = journalRoot(estateOf(dead));
    store.rows.clear();
    store.repeated = 0;
    const starters = await Promise.all([open({ journalRoot: root }), open({ journalRoot: root }), open({ journalRoot: root })]);
    await Promise.all(starters.map((starter) => starter.idle()));
    expect(store.rows.size).toBe(ids.length + 1);
    expect(store.repeated).toBe(0);
    expect(readdirSync(root).sort()).toEqual(starters.map(({ epoch }) => epoch).sort());
  });

  test("a journal whose process lives is left alone", async () => {
    const living = await open();
    await living.ledger.begin(intentOf());
    const other = await open();
    await other.idle();
    expect(store.rows.size).toBe(0);
    expect(existsSync(join(journalRoot(directory), living.epoch))).toBe(true);
  });

  test("says when it is settled, and what was spent is not told before", async () => {
    const dead = await open();
    await dead.ledger.begin(intentOf());
    const root = journalRoot(estateOf(dead));
    const away = Promise.withResolvers<void>();
    const slow = { append: (rows: readonly LedgerRow[]) => away.promise.then(() => store.append(rows)) };
    const { inherited } = await open({ journalRoot: root, store: slow });
    const spent = spentWithEstates({ spent: async () => BigInt(store.rows.size) }, inherited).spent("default", {});
    expect(store.rows.size).toBe(0);
    away.resolve();
    expect(await spent).toBe(1n);
  });

  test("one whose owner cannot be read is left alone: nobody knows that it is dead", async () => {
    const root = journalRoot(estateOf(await open()));
    const [name = ""] = readdirSync(root);
    // As where no descriptor is left, the file is there and reading it fails.
    rmSync(join(root, name, "owner.json"));
    mkdirSync(join(root, name, "owner.json"));
    expect(await takeOverDead(root, ulid(), new SilenceWatch(systemClock))).toEqual([]);
    expect(readdirSync(root)).toEqual([name]);
  });

  test("one's own is never taken over, whatever its owner file says", async () => {
    const { epoch } = await open();
    const root = journalRoot(directory);
    rmSync(join(root, epoch, "owner.json"));
    expect(await takeOverDead(root, epoch, new SilenceWatch(systemClock))).toEqual([]);
    expect(readdirSync(root)).toEqual([epoch]);
  });

  test.skipIf(!existsSync("/proc/version"))("one in which the new owner cannot leave its mark is taken over all the same", async () => {
    const root = journalRoot(estateOf(await open()));
    const [name = ""] = readdirSync(root);
    // Says nothing of an owner, and nobody can write it.
    rmSync(join(root, name, "owner.json"));
    symlinkSync("/proc/version", join(root, name, "owner.json"));
    expect(await takeOverDead(root, ulid(), new SilenceWatch(systemClock))).toHaveLength(1);
  });

  test("replayed a second time, in whole or in part, it changes nothing", async () => {
    const dead = await open();
    await runOne(dead);
    const left = intentOf();
    await dead.ledger.begin(left);
    await dead.idle();
    const root = journalRoot(estateOf(dead));
    estateOf(dead, `${dead.epoch.slice(0, 25)}Z`);
    store.rows.clear();
    const next = await open({ journalRoot: root });
    await next.idle();
    expect(store.rows.size).toBe(2);
    expect(store.repeated).toBe(2);
    expect(store.rows.get(left.usageId)).toMatchObject({ outcome: "crash", endedAt: left.startedAt });
  });

  test("while the store is away the estate stays on disk", async () => {
    const dead = await open();
    await dead.ledger.begin(intentOf());
    const root = journalRoot(estateOf(dead));
    store.away = true;
    const next = await open({ journalRoot: root });
    await vi.waitFor(() => expect(store.asked).toBeGreaterThan(0));
    await next.close(0);
    expect(readdirSync(root)).toEqual([`${dead.epoch}~${next.epoch}`]);
  });
});

describe("a ledger without a journal", () => {
  test("leaves no files, and begins at once", async () => {
    const ledger = await open({ mode: "memory" });
    const { epoch: _, ...intent } = intentOf();
    expect(ledger.ledger.begin(intent)).toBeUndefined();
    ledger.ledger.settle(endingOf(settlementOf(intent.usageId)));
    await ledger.idle();
    expect(store.order).toEqual([intent.usageId]);
    await ledger.close(0);
    expect(readdirSync(directory)).toEqual([]);
  });

  test("rows above its bound are counted as lost, and said", async () => {
    const errors: string[] = [];
    store.away = true;
    const ledger = await open({ mode: "memory", maxQueuedRows: 3, log: { ...silentLog, error: (message) => void errors.push(message) } });
    for (let count = 0; count < 5; count++) await runOne(ledger);
    expect(ledger.state()).toMatchObject({ queued: 3, lost: 2 });
    expect(errors).toHaveLength(1);
  });
});
