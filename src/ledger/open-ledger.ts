/** The whole ledger of a process: what is open, its journal, the way to the store, and the estates of dead processes. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../core/clock.ts";
import { ulid } from "../core/id.ts";
import type { LedgerTap } from "../core/ledger.ts";
import type { LedgerStore } from "../core/ledger-store.ts";
import type { Logger } from "../core/log.ts";
import type { PriceBook } from "../core/pricing.ts";
import { exitCodes, StartError } from "../core/start-error.ts";
import { Journal } from "./journal/journal.ts";
import { type JournalFiles, nodeJournalFiles } from "./journal/journal-files.ts";
import { createOwnDirectory, disown, heartbeatMs, keepDamaged, SilenceWatch, takeOverDead, touchOwner } from "./journal/journal-owner.ts";
import { type Damage, replay, settleCrashed } from "./journal/replay.ts";
import { JournalVersionError, segmentName } from "./journal/segment.ts";
import { LedgerBook } from "./ledger-book.ts";
import { Shipper } from "./shipper.ts";

/** `os` survives the death of the process, `fsync` a loss of power, `memory` neither, and it leaves no files. */
export type JournalMode = "memory" | "os" | "fsync";

export interface LedgerOptions {
  readonly mode: JournalMode;
  /** Where processes have their journals, one directory each. */
  readonly journalRoot: string;
  readonly segmentBytes: number;
  readonly maxJournalBytes: number;
  readonly reserveBytes: number;
  readonly maxQueuedRows: number;
  readonly store: Pick<LedgerStore, "append">;
  readonly prices?: PriceBook | undefined;
  /** Whether a tenant pays for attempts that failed, a crash of this program included. */
  readonly chargesFailures: boolean;
  readonly taps: readonly LedgerTap[];
  readonly clock: Clock;
  readonly log: Logger;
  readonly files?: JournalFiles | undefined;
}

export interface LedgerState {
  readonly mode: JournalMode;
  /** Attempts under way. */
  readonly open: number;
  /** Rows in memory that wait for the store. */
  readonly queued: number;
  /** Rows that had room nowhere, that the store refused, and that were settled twice: 0, or something is wrong. */
  readonly lost: number;
  readonly refused: number;
  readonly repeated: number;
  readonly journalBytes: number;
  readonly journalSegments: number;
  /** `none`, or why new calls are refused. */
  readonly trouble: "none" | "full" | "failing";
}

export interface OpenLedger {
  readonly epoch: string;
  readonly ledger: LedgerBook;
  /** Resolves when the store has what was left by the processes that were dead at the start, or somebody else cares for it. */
  readonly inherited: Promise<void>;
  state(): LedgerState;
  /** Resolves when the store has every row that is over, those of dead processes included. */
  idle(): Promise<void>;
  /** To be called when no attempt runs. Rows that the store does not take within the grace stay in the journal. */
  close(graceMs: number): Promise<void>;
}

/** Where the processes that share a data directory have their journals. */
export function journalRoot(dataDir: string): string {
  return join(dataDir, "journal");
}

const batchRows = 500;
const gatherMs = 20;
const retry = { firstMs: 50, mostMs: 5_000 };

/** Throws StartError where the journal's directory cannot be written. Journals of dead processes are shipped in the background. */
export async function openLedger(options: LedgerOptions): Promise<OpenLedger> {
  const { mode, journalRoot, store, prices, chargesFailures, taps, clock, log } = options;
  const epoch = ulid(clock.wall());
  const own = mode === "memory" ? undefined : await openOwnJournal(options, epoch, mode);
  const shipper = new Shipper({
    store,
    batchRows,
    gatherMs,
    maxQueuedRows: options.maxQueuedRows,
    retry,
    onStored: (usageIds) => own?.journal.acknowledge(usageIds),
    log,
    backlog: own && {
      forget: (usageId) => own.journal.forget(usageId),
      async readAgain(deliver) {
        const until = await own.journal.seal();
        const { damage } = await replay({ directory: own.directory, until, batchRows, deliver });
        await reportDamage(own.directory, damage);
        own.journal.acknowledgeForgotten();
      },
    },
  });
  const ledger = new LedgerBook({ epoch, journal: own?.journal, ship: (row) => shipper.push(row), taps, log });

  const estates = new Set<string>();
  const silence = new SilenceWatch(clock);
  let settling: Promise<void> | undefined;
  let closing = false;
  let closed: Promise<void> | undefined;
  const settleDead = (): Promise<void> => {
    settling ??= settleEstates().finally(() => {
      settling = undefined;
    });
    return settling;
  };
  const heartbeat = setInterval(() => {
    if (own !== undefined) void touchOwner(own.directory);
    void settleDead();
  }, heartbeatMs);
  heartbeat.unref();

  return {
    epoch,
    ledger,
    inherited: settleDead(),
    state: () => ({
      mode,
      open: ledger.open,
      queued: shipper.queued,
      lost: shipper.lost,
      refused: shipper.refused,
      repeated: ledger.repeated,
      journalBytes: own?.journal.bytes ?? 0,
      journalSegments: own?.journal.segments ?? 0,
      trouble: own?.journal.trouble ?? "none",
    }),
    async idle() {
      await settling;
      await shipper.idle();
    },
    close(graceMs) {
      closed ??= close(graceMs);
      return closed;
    },
  };

  async function close(graceMs: number): Promise<void> {
    closing = true;
    clearInterval(heartbeat);
    await shipper.close(graceMs);
    await settling;
    await Promise.all([...estates].map(disown));
    if (own === undefined) return;
    if (await own.journal.close()) await rm(own.directory, { recursive: true, force: true });
    else await disown(own.directory);
  }

  /** One after the other; what fails is tried again at the next beat. */
  async function settleEstates(): Promise<void> {
    try {
      for (const directory of await takeOverDead(journalRoot, epoch, silence)) estates.add(directory);
      for (const directory of estates) {
        if (closing) return;
        await settleEstate(directory);
        estates.delete(directory);
      }
    } catch (error) {
      if (!closing) log.warn("the journal of a process that died cannot be settled now", { file: journalRoot, error });
    }
  }

  async function settleEstate(directory: string): Promise<void> {
    const refusedBefore = shipper.refused;
    const result = await replay({ directory, batchRows, deliver: (rows) => shipper.deliver(rows) }).catch((thrown: unknown) => {
      if (!(thrown instanceof JournalVersionError)) throw thrown;
      return thrown;
    });
    if (result instanceof JournalVersionError) {
      // Who can read it may take it.
      await disown(directory);
      log.error("the journal of a newer program is left alone; start that program on this data directory", {
        file: directory,
        error: result,
      });
      return;
    }
    const { ended, open, torn, damage } = result;
    for (let at = 0; at < open.length; at += batchRows) {
      await shipper.deliver(open.slice(at, at + batchRows).map((entry) => settleCrashed(entry, prices, chargesFailures)));
    }
    await reportDamage(directory, damage);
    log.info("the journal of a process that died is settled", { file: directory, count: ended, calls: open.length, dropped: torn.length });
    if (shipper.refused === refusedBefore) await rm(directory, { recursive: true, force: true });
    else log.error("a journal is kept because the store refuses rows of it", { file: directory });
  }

  /** What cannot be read is kept, for people: rows may be in it. */
  async function reportDamage(directory: string, damage: readonly Damage[]): Promise<void> {
    if (damage.length === 0) return;
    const segments = new Set(damage.filter(({ bytes }) => bytes !== undefined).map(({ segment }) => segmentName(segment)));
    const place = await keepDamaged(directory, [...segments]);
    for (const { segment, at, bytes } of damage) {
      const file = join(place, segmentName(segment));
      if (bytes === undefined) log.error("a segment of a journal is missing; attempts may be", { file });
      else log.error("a segment of a journal is damaged; the rest of it was read", { file: `${file}, byte ${at}`, bytes });
    }
  }
}

async function openOwnJournal(options: LedgerOptions, epoch: string, mode: "os" | "fsync") {
  const { journalRoot, clock, log, files = nodeJournalFiles } = options;
  try {
    const directory = await createOwnDirectory(journalRoot, epoch);
    const journal = await Journal.open({
      directory,
      epoch,
      mode,
      files,
      segmentBytes: options.segmentBytes,
      maxBytes: options.maxJournalBytes,
      reserveBytes: options.reserveBytes,
      clock,
      log,
    });
    return { directory, journal };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new StartError(`the ledger's journal cannot be written in ${join(journalRoot, epoch)}: ${reason}`, exitCodes.io, error);
  }
}
