import { appendFileSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import type { LedgerRow } from "../../src/core/ledger-row.ts";
import { silentLog } from "../../src/core/log.ts";
import { Journal, type JournalOptions } from "../../src/ledger/journal/journal.ts";
import { type JournalFile, type JournalFiles, nodeJournalFiles } from "../../src/ledger/journal/journal-files.ts";
import { journalVersion, writeRecord } from "../../src/ledger/journal/record.ts";
import { replay } from "../../src/ledger/journal/replay.ts";
import { checkSegment, hashSegment, listSegments, segmentName } from "../../src/ledger/journal/segment.ts";
import { intentOf, settlementOf } from "./rows.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "dragoman-journal-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const open = (options: Partial<JournalOptions> = {}) =>
  Journal.open({
    directory,
    epoch: "tests",
    mode: "os",
    files: nodeJournalFiles,
    segmentBytes: 1_048_576,
    maxBytes: 1 << 30,
    reserveBytes: 0,
    clock: systemClock,
    log: silentLog,
    ...options,
  });

async function replayed(until?: number) {
  const rows: LedgerRow[] = [];
  const result = await replay({ directory, until, batchRows: 10, deliver: async (some) => void rows.push(...some) });
  return { ...result, rows };
}

async function runOne(journal: Journal, usageId?: string): Promise<string> {
  const intent = intentOf(usageId === undefined ? {} : { usageId });
  await journal.begin(intent);
  journal.settle(settlementOf(intent.usageId));
  return intent.usageId;
}

describe("the journal", () => {
  test("an intent is in the file when begin resolves, without the journal being closed", async () => {
    const journal = await open();
    const intent = intentOf();
    await journal.begin(intent);
    const { open: left } = await replayed();
    expect(left.map((entry) => entry.intent)).toEqual([intent]);
    await journal.close();
  });

  test("rows come back as they were settled, in order, once", async () => {
    const journal = await open();
    const ids = await Promise.all(Array.from({ length: 300 }, () => runOne(journal)));
    await journal.flush();
    const { rows, open: left, torn } = await replayed();
    expect(rows.map(({ usageId }) => usageId)).toEqual(ids);
    expect(rows[0]).toEqual({
      ...intentOf({ usageId: ids[0] as string, requestId: rows[0]?.requestId as string }),
      ...settlementOf(ids[0] as string),
    });
    expect({ left, torn }).toEqual({ left: [], torn: [] });
    await journal.close();
    expect((await replayed()).rows).toHaveLength(300);
  });

  test("the last checkpoint of what is open is known", async () => {
    const journal = await open();
    const intent = intentOf();
    await journal.begin(intent);
    journal.checkpoint(intent.usageId, { inputTokens: 5, outputTokens: 1_000 });
    journal.checkpoint(intent.usageId, { inputTokens: 5, outputTokens: 2_000 });
    await journal.flush();
    expect((await replayed()).open).toMatchObject([{ intent, checkpoint: { inputTokens: 5, outputTokens: 2_000 } }]);
    await journal.close();
  });

  test.each(["half a record", "noise"])("a torn tail of %s is cut, and what was before it stands", async (kind) => {
    const journal = await open();
    const kept = await runOne(journal);
    await journal.close();
    const path = join(directory, segmentName(1));
    const whole = readFileSync(path);
    appendFileSync(path, kind === "noise" ? Buffer.from("no record at all") : whole.subarray(whole.length - 60, whole.length - 20));
    const { rows, torn } = await replayed();
    expect(rows.map(({ usageId }) => usageId)).toEqual([kept]);
    expect(torn).toEqual([1]);
  });

  test.each([0, 1, 2, 3])("a byte that flipped in record %d costs that record, and says where it is", async (which) => {
    const journal = await open();
    const ends: number[] = [journal.bytes];
    const ids = [intentOf(), intentOf()].map(({ usageId }) => usageId);
    for (const usageId of ids) {
      await journal.begin(intentOf({ usageId }));
      ends.push(journal.bytes);
      journal.settle(settlementOf(usageId));
      await journal.flush();
      ends.push(journal.bytes);
    }
    await journal.close();
    const path = join(directory, segmentName(1));
    const bytes = readFileSync(path);
    const at = ends[which] ?? 0;
    bytes[at + 30] = (bytes[at + 30] as number) ^ 1;
    writeFileSync(path, bytes);
    const { rows, open: left, damage, torn } = await replayed();
    const hit = ids[Math.floor(which / 2)];
    expect(rows.map(({ usageId }) => usageId)).toEqual(ids.filter((usageId) => usageId !== hit));
    // Without its settlement it is open, and will be estimated; without its intent nobody knows whose it was.
    expect(left.map(({ intent }) => intent.usageId)).toEqual(which % 2 === 1 ? [hit] : []);
    const isLast = which === 3;
    expect(damage).toEqual(isLast ? [] : [{ segment: 1, at, bytes: (ends[which + 1] ?? 0) - at }]);
    expect(torn).toEqual(isLast ? [1] : []);
  });

  test("the end of a segment that another continues is known: it was not torn, it was damaged", async () => {
    const journal = await open({ segmentBytes: 4_096 });
    for (let count = 0; count < 30; count++) await runOne(journal);
    await journal.close();
    const path = join(directory, segmentName(1));
    const whole = statSync(path).size;
    writeFileSync(path, readFileSync(path).subarray(0, whole - 10));
    const { damage } = await replayed();
    expect(damage).toMatchObject([{ segment: 1 }]);
    expect((damage[0]?.at ?? 0) + (damage[0]?.bytes ?? 0)).toBe(whole);
    rmSync(join(directory, segmentName(2)));
    expect((await replayed()).damage).toContainEqual({ segment: 2, at: 0, bytes: undefined });
  });

  test("the journal of a newer version is not read", async () => {
    const journal = await open();
    await runOne(journal);
    await journal.close();
    const path = join(directory, segmentName(1));
    const header = { version: journalVersion + 1, epoch: "tests", number: 1, previous: undefined };
    writeFileSync(path, Buffer.concat([writeRecord({ is: "header", header }), readFileSync(path)]));
    await expect(replayed()).rejects.toThrow(`${path} has version ${journalVersion + 1}`);
  });

  test("segments turn over, each names its predecessor by hash, and go when the store has their rows", async () => {
    const journal = await open({ segmentBytes: 8_192 });
    const ids: string[] = [];
    for (let count = 0; count < 40; count++) ids.push(await runOne(journal));
    await journal.flush();
    const numbers = await listSegments(directory);
    expect(numbers.length).toBeGreaterThan(3);
    for (const number of numbers.slice(1)) {
      const { header } = await checkSegment(directory, number);
      expect(header?.previous?.sha256).toBe(await hashSegment(directory, number - 1, header?.previous?.bytes ?? 0));
    }
    journal.acknowledge(ids.slice(1));
    // The first row holds the first segment, and that one the chain.
    expect(await listSegments(directory)).toEqual(numbers);
    journal.acknowledge(ids.slice(0, 1));
    await vi.waitFor(async () => expect(await listSegments(directory)).toEqual(numbers.slice(-1)));
    expect(await journal.close()).toBe(true);
  });

  test("close says whether rows are left that the store does not have", async () => {
    const journal = await open();
    await runOne(journal);
    expect(await journal.close()).toBe(false);
  });

  test("forgotten rows are read again from sealed segments, and only those are let go", async () => {
    const journal = await open();
    const forgotten = await runOne(journal);
    journal.forget(forgotten);
    const sealed = await journal.seal();
    const later = await runOne(journal);
    journal.forget(later);
    await journal.flush();
    expect((await replayed(sealed)).rows.map(({ usageId }) => usageId)).toEqual([forgotten]);
    journal.acknowledgeForgotten();
    await vi.waitFor(async () => expect(await listSegments(directory)).toEqual([sealed + 1]));
    expect((await replayed(await journal.seal())).rows.map(({ usageId }) => usageId)).toEqual([later]);
    expect(await journal.close()).toBe(false);
  });

  test("above its size nothing begins, and again when the store has caught up", async () => {
    const journal = await open({ segmentBytes: 8_192, maxBytes: 16_384 });
    const ids: string[] = [];
    await expect(
      (async () => {
        for (;;) ids.push(await runOne(journal));
      })(),
    ).rejects.toMatchObject({ reason: "ledger_unavailable", retryable: true });
    journal.acknowledge(ids);
    await runOne(journal);
    await journal.close();
  });

  test("mode fsync waits for the disk before it says that an intent is kept", async () => {
    let synced = 0;
    const sync = async (file: JournalFile) => {
      await file.sync();
      synced++;
    };
    const journal = await open({ mode: "fsync", files: watched({ sync }) });
    const before = synced;
    await journal.begin(intentOf());
    expect(synced).toBe(before + 1);
    await journal.close();
  });
});

interface Hooks {
  readonly write?: (file: JournalFile, bytes: Buffer, position: number, path: string) => Promise<void>;
  readonly sync?: (file: JournalFile, path: string) => Promise<void>;
}

/** The real files, with something in between. */
function watched({ write, sync }: Hooks): JournalFiles {
  return {
    async create(path, durable) {
      const file = await nodeJournalFiles.create(path, durable);
      return {
        write: (bytes, position) => (write === undefined ? file.write(bytes, position) : write(file, bytes, position, path)),
        sync: () => (sync === undefined ? file.sync() : sync(file, path)),
        truncate: (bytes) => file.truncate(bytes),
        close: () => file.close(),
      };
    },
    remove: (path) => nodeJournalFiles.remove(path),
  };
}

const noSpace = () => Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });
const ioError = () => Object.assign(new Error("EIO: i/o error"), { code: "EIO" });

describe("disks that fail", () => {
  test("S1: a full disk refuses what is new, takes what was running, and goes on when there is space", async () => {
    let full = false;
    // As on a real disk: what the reserve held is free for segments once it is cut to nothing.
    const hasRoom = (path: string) => !full || (path.endsWith(".segment") && !isHeld && statSync(join(directory, "reserve")).size === 0);
    let isHeld = true;
    const files = watched({
      write: async (file, bytes, position, path) => {
        if (!hasRoom(path)) throw noSpace();
        await file.write(bytes, position);
      },
    });
    const journal = await open({ files, reserveBytes: 4_096 });
    const running = intentOf();
    await journal.begin(running);
    await vi.waitFor(() => expect(statSync(join(directory, "reserve")).size).toBe(4_096));
    full = true;
    await expect(journal.begin(intentOf())).rejects.toMatchObject({ reason: "ledger_unavailable", details: { undispatched: true } });
    expect(journal.trouble).toBe("full");
    await expect(journal.begin(intentOf())).rejects.toMatchObject({ reason: "ledger_unavailable" });
    isHeld = false;
    journal.settle(settlementOf(running.usageId));
    await vi.waitFor(async () => expect((await replayed()).rows.map(({ usageId }) => usageId)).toEqual([running.usageId]));
    // Refused intents leave nothing that a restart would settle.
    expect((await replayed()).open).toEqual([]);
    expect(journal.trouble).toBe("full");
    full = false;
    await vi.waitFor(() => expect(journal.trouble).toBe("none"), { timeout: 3_000 });
    await runOne(journal);
    await journal.close();
    expect((await replayed()).rows).toHaveLength(2);
  });

  test("S1: what was half written when the disk was full is not read one day", async () => {
    let full = false;
    const files = watched({
      write: async (file, bytes, position) => {
        // All but the last byte of a group has room.
        await file.write(full ? bytes.subarray(0, bytes.length - 1) : bytes, position);
        if (full) throw noSpace();
      },
    });
    const journal = await open({ files });
    const kept = await runOne(journal);
    await journal.flush();
    full = true;
    const refused = await Promise.allSettled(Array.from({ length: 5 }, () => journal.begin(intentOf())));
    expect(refused.map(({ status }) => status)).toEqual(Array(5).fill("rejected"));
    const { rows, open: left, torn } = await replayed();
    expect(rows.map(({ usageId }) => usageId)).toEqual([kept]);
    expect({ left, torn }).toEqual({ left: [], torn: [] });
    full = false;
    await journal.close();
  });

  test("S2: a segment whose sync failed is left behind; settlements are written again, and nothing is lost or doubled", async () => {
    let failing = false;
    const files = watched({
      sync: async (file, path) => {
        if (failing && path.endsWith(segmentName(1))) throw ioError();
        await file.sync();
      },
    });
    const errors: string[] = [];
    const journal = await open({ mode: "fsync", files, log: { ...silentLog, error: (message) => void errors.push(message) } });
    const first = intentOf();
    await journal.begin(first);
    failing = true;
    journal.settle(settlementOf(first.usageId));
    await journal.flush();
    expect(errors).toHaveLength(1);
    expect(await listSegments(directory)).toEqual([1, 2]);
    await vi.waitFor(() => expect(journal.trouble).toBe("none"), { timeout: 3_000 });
    const second = await runOne(journal);
    await journal.close();
    const { rows, open: left } = await replayed();
    expect(rows.map(({ usageId }) => usageId)).toEqual([first.usageId, second]);
    expect(left).toEqual([]);
  });

  test("S5: after a loss of power what was synced is there, and mode fsync had said no more than that", async () => {
    const survivors = mkdtempSync(join(tmpdir(), "dragoman-synced-"));
    const sync = async (file: JournalFile, path: string) => {
      await file.sync();
      copyFileSync(path, join(survivors, basename(path)));
    };
    try {
      const journal = await open({ mode: "fsync", files: watched({ sync }), segmentBytes: 8_192 });
      const kept: string[] = [];
      const beginning = Array.from({ length: 40 }, async () => {
        const intent = intentOf();
        await journal.begin(intent);
        kept.push(intent.usageId);
      });
      await Promise.race(beginning);
      const acknowledged = [...kept];
      const { open: left } = await replay({ directory: survivors, batchRows: 10, deliver: async () => {} });
      const found = new Set(left.map(({ intent }) => intent.usageId));
      expect(acknowledged.length).toBeGreaterThan(0);
      expect(acknowledged.filter((usageId) => !found.has(usageId))).toEqual([]);
      await Promise.all(beginning);
      await journal.close();
    } finally {
      rmSync(survivors, { recursive: true, force: true });
    }
  });

  test("a directory that is gone: new calls are refused, no call hangs", async () => {
    const journal = await open({ segmentBytes: 8_192 });
    rmSync(directory, { recursive: true });
    await expect(
      (async () => {
        for (let count = 0; count < 100; count++) await runOne(journal);
      })(),
    ).rejects.toMatchObject({ reason: "ledger_unavailable" });
    await journal.close();
    mkdirSync(directory);
  });
});
