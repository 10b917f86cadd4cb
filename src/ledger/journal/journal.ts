/**
 * The journal of this process: intents before dispatch, checkpoints, settlements, in segments that go when the store has
 * all their rows. Writes are grouped: one is under way at a time, and what comes meanwhile goes with the next.
 *
 * Modes: `os` hands records to the operating system and survives the death of the process; `fsync` waits for the disk
 * and survives a loss of power. A full disk refuses new intents (`ledger_unavailable`), while settlements use up a
 * reserve. A segment on which a write or a sync failed is left behind and its batch goes to a new one.
 */
import { createHash, type Hash } from "node:crypto";
import { join } from "node:path";
import type { Clock } from "../../core/clock.ts";
import { GatewayError } from "../../core/error.ts";
import type { Checkpoint } from "../../core/ledger.ts";
import type { LedgerIntent, LedgerSettlement } from "../../core/ledger-row.ts";
import type { Logger } from "../../core/log.ts";
import type { AttemptJournal } from "../ledger-book.ts";
import type { JournalFile, JournalFiles } from "./journal-files.ts";
import { type JournalRecord, journalVersion, writeRecord } from "./record.ts";
import { segmentName } from "./segment.ts";

export interface JournalOptions {
  /** There already; of this process alone. */
  readonly directory: string;
  readonly epoch: string;
  readonly mode: "os" | "fsync";
  readonly files: JournalFiles;
  readonly segmentBytes: number;
  /** Most bytes of all segments: above it, and while the store takes nothing, no attempt may begin. */
  readonly maxBytes: number;
  /** Kept free for what is running when the disk fills up; 0: none. */
  readonly reserveBytes: number;
  readonly clock: Clock;
  readonly log: Logger;
}

interface Segment {
  readonly number: number;
  readonly path: string;
  readonly file: JournalFile;
  readonly hash: Hash;
  bytes: number;
  /** Rows with a record in it that the store has not acknowledged. */
  rows: number;
  /** Of these, those that are in no memory any more. */
  forgotten: number;
  /** Of these, those that are being read again. */
  readAgain: number;
}

interface Waiting {
  readonly bytes: Buffer;
  readonly usageId: string;
  /** A seal is no record: it ends a segment. */
  readonly is: JournalRecord["is"] | "seal";
  readonly resolve: () => void;
  readonly reject: (error: GatewayError) => void;
}

const maxGroup = 256;
/** How often a disk that is full or failing is tried again. */
const retryMs = 500;
const reserveName = "reserve";
const reserveChunk = Buffer.alloc(1_048_576, 1);
const noBytes = Buffer.alloc(0);
const nothing = (): void => {};

export class Journal implements AttemptJournal {
  readonly #options: JournalOptions;
  #queue: Waiting[] = [];
  #segments: Segment[] = [];
  /** Segments that hold records of a row, oldest first. */
  readonly #rows = new Map<string, Segment[]>();
  #next = 1;
  #rotate = false;
  #working: Promise<void> | undefined;
  #trouble: "none" | "full" | "failing" = "none";
  #retry: NodeJS.Timeout | undefined;
  #reserve: JournalFile | undefined;
  #filling: Promise<void> | undefined;
  /** One after the other: a process that dies meanwhile leaves no hole. */
  #removing: Promise<void> = Promise.resolve();
  #closed = false;

  /** Creates the first segment, and the reserve in the background. Rejects with Node's error where the directory cannot be written. */
  static async open(options: JournalOptions): Promise<Journal> {
    const journal = new Journal(options);
    await journal.#addSegment();
    void journal
      .#fillReserve()
      .catch((error: unknown) => options.log.warn("the journal has no reserve", { file: options.directory, error }));
    return journal;
  }

  private constructor(options: JournalOptions) {
    this.#options = options;
  }

  /** Why nothing new is taken; `none` where all is well. */
  get trouble(): "none" | "full" | "failing" {
    return this.#trouble;
  }

  /** Bytes of all segments. */
  get bytes(): number {
    return this.#segments.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  get segments(): number {
    return this.#segments.length;
  }

  begin(intent: LedgerIntent): Promise<void> {
    if (this.#trouble !== "none" || this.#closed || this.bytes > this.#options.maxBytes) return Promise.reject(unavailable());
    return new Promise((resolve, reject) => {
      this.#push({ bytes: writeRecord({ is: "intent", intent }), usageId: intent.usageId, is: "intent", resolve, reject });
    });
  }

  checkpoint(usageId: string, { inputTokens, outputTokens }: Checkpoint): void {
    // While the disk is full, what is left of it is for settlements.
    if (this.#trouble !== "none") return;
    const record = { is: "checkpoint", checkpoint: { usageId, inputTokens, outputTokens, at: this.#options.clock.wall() } } as const;
    this.#push({ bytes: writeRecord(record), usageId, is: "checkpoint", resolve: nothing, reject: nothing });
  }

  settle(settlement: LedgerSettlement): void {
    const { usageId } = settlement;
    this.#push({ bytes: writeRecord({ is: "settlement", settlement }), usageId, is: "settlement", resolve: nothing, reject: nothing });
  }

  /** The store has these rows. */
  acknowledge(usageIds: Iterable<string>): void {
    for (const usageId of usageIds) {
      for (const segment of this.#rows.get(usageId) ?? []) segment.rows--;
      this.#rows.delete(usageId);
    }
    this.#dropSegments();
  }

  /** A row that waits for the store is in memory no more: it will be read from the journal again. */
  forget(usageId: string): void {
    for (const segment of this.#rows.get(usageId) ?? []) segment.forgotten++;
    this.#rows.delete(usageId);
  }

  /**
   * For reading forgotten rows again: closes the running segment and gives the last number that holds them. Until there
   * the files do not change. Throws where they cannot be written now.
   */
  async seal(): Promise<number> {
    for (const segment of this.#segments) {
      segment.readAgain += segment.forgotten;
      segment.forgotten = 0;
    }
    // Their settlements may still wait to be written: the seal goes behind them.
    await new Promise<void>((resolve, reject) => this.#push({ bytes: noBytes, usageId: "", is: "seal", resolve, reject }));
    return (this.#segments.at(-1)?.number ?? 1) - 1;
  }

  /** The store has what `seal` was for. */
  acknowledgeForgotten(): void {
    for (const segment of this.#segments) {
      segment.rows -= segment.readAgain;
      segment.readAgain = 0;
    }
    this.#dropSegments();
  }

  /** Resolves when everything that was given is written, or cannot be. */
  async flush(): Promise<void> {
    while (this.#working !== undefined) await this.#working;
  }

  /** Writes what waits and closes the files. True where no row waits for the store: the directory may go then. */
  async close(): Promise<boolean> {
    this.#closed = true;
    clearTimeout(this.#retry);
    this.#work();
    await this.flush();
    for (const segment of this.#segments) await this.#finish(segment);
    await this.#removing;
    await this.#filling?.catch(nothing);
    await this.#reserve?.close();
    return this.#queue.length === 0 && this.#segments.every(({ rows }) => rows === 0);
  }

  #push(waiting: Waiting): void {
    this.#queue.push(waiting);
    if (this.#trouble !== "failing") this.#work();
  }

  #work(): void {
    if (this.#queue.length > 0 || this.#rotate) this.#working ??= this.#writeQueue();
  }

  async #writeQueue(): Promise<void> {
    while (this.#queue.length > 0 || this.#rotate) {
      const group = this.#takeGroup();
      try {
        await this.#writeGroup(group);
      } catch (thrown) {
        if (!(await this.#recover(group, thrown))) break;
      }
    }
    // At once: what is pushed from here on begins anew.
    this.#working = undefined;
  }

  #takeGroup(): Waiting[] {
    const seal = this.#queue.findIndex(({ is }, index) => is === "seal" || index === maxGroup);
    if (seal !== 0) return this.#queue.splice(0, seal === -1 ? maxGroup : seal);
    this.#rotate = true;
    return this.#queue.splice(0, 1);
  }

  async #writeGroup(group: readonly Waiting[]): Promise<void> {
    let segment = this.#segments.at(-1);
    const bytes = Buffer.concat(group.map((waiting) => waiting.bytes));
    if (segment === undefined || this.#rotate || segment.bytes + bytes.length > this.#options.segmentBytes) {
      segment = await this.#addSegment();
      this.#rotate = false;
    }
    if (bytes.length > 0) await this.#write(segment, bytes);
    for (const { usageId, is, resolve } of group) {
      if (is !== "seal") this.#note(usageId, is, segment);
      resolve();
    }
  }

  async #write(segment: Segment, bytes: Buffer): Promise<void> {
    await segment.file.write(bytes, segment.bytes);
    if (this.#options.mode === "fsync") await segment.file.sync();
    segment.hash.update(bytes);
    segment.bytes += bytes.length;
  }

  #note(usageId: string, is: JournalRecord["is"], segment: Segment): void {
    const holders = this.#rows.get(usageId);
    if (holders === undefined) {
      // A row that the store has, or that is read again, needs no more care.
      if (is !== "intent") return;
      this.#rows.set(usageId, [segment]);
    } else {
      if (holders.at(-1) === segment) return;
      holders.push(segment);
    }
    segment.rows++;
  }

  async #addSegment(): Promise<Segment> {
    const { directory, epoch, files, mode, segmentBytes } = this.#options;
    const previous = this.#segments.at(-1);
    const number = this.#next;
    const path = join(directory, segmentName(number));
    const file = await files.create(path, mode === "fsync");
    const segment: Segment = { number, path, file, hash: createHash("sha256"), bytes: 0, rows: 0, forgotten: 0, readAgain: 0 };
    const header = {
      version: journalVersion,
      epoch,
      number,
      previous: previous === undefined ? undefined : { bytes: previous.bytes, sha256: previous.hash.copy().digest("hex") },
    };
    try {
      // Sparse: it costs nothing, and the length need not be synced with every group.
      await file.truncate(segmentBytes);
      await this.#write(segment, writeRecord({ is: "header", header }));
    } catch (thrown) {
      await file.close().catch(nothing);
      await files.remove(path).catch(nothing);
      throw thrown;
    }
    this.#next++;
    this.#segments.push(segment);
    if (previous !== undefined) await this.#finish(previous);
    this.#dropSegments();
    return segment;
  }

  /** Cuts the zeros off and closes. */
  async #finish({ file, bytes, path }: Segment): Promise<void> {
    try {
      await file.truncate(bytes);
      await file.close();
    } catch (error) {
      this.#options.log.warn("a journal segment was not closed well", { file: path, error });
    }
  }

  /** Oldest first, so that what is left is one chain. */
  #dropSegments(): void {
    while (this.#segments.length > 1 && this.#segments[0]?.rows === 0) {
      const segment = this.#segments.shift();
      if (segment === undefined) return;
      const { files, log } = this.#options;
      this.#removing = this.#removing
        .then(() => files.remove(segment.path))
        .catch((error: unknown) => log.warn("a journal segment cannot be removed", { file: segment.path, error }));
    }
  }

  /** Whether the group is worth another try at once; else it waits for the timer. Intents that were not kept are refused. */
  async #recover(group: readonly Waiting[], thrown: unknown): Promise<boolean> {
    const { log, directory } = this.#options;
    const code = thrown instanceof Error && "code" in thrown ? String(thrown.code) : "";
    const isFull = code === "ENOSPC" || code === "EDQUOT";
    const before = this.#trouble;
    this.#trouble = isFull ? "full" : "failing";
    const waiting = [...group, ...this.#queue];
    this.#queue = waiting.filter(({ is }) => is === "settlement");
    for (const { is, reject } of waiting) if (is !== "settlement") reject(unavailable(thrown));
    if (before === "none")
      log.error("the ledger's journal cannot be written; new calls are refused", { file: directory, code, error: thrown });
    if (!this.#closed) this.#retryLater();
    if (isFull) await this.#cutTail();
    if (isFull && this.#reserve !== undefined) {
      await this.#freeReserve();
      return true;
    }
    if (!isFull && before === "none") {
      // Nothing about this file is certain any more.
      this.#rotate = true;
      return true;
    }
    return false;
  }

  /** What was half written must not be read one day: intents in it were refused. */
  async #cutTail(): Promise<void> {
    const segment = this.#segments.at(-1);
    try {
      await segment?.file.truncate(segment.bytes);
      await segment?.file.truncate(Math.max(segment.bytes, this.#options.segmentBytes));
    } catch {
      this.#rotate = true;
    }
  }

  #retryLater(): void {
    this.#retry ??= setTimeout(() => {
      this.#retry = undefined;
      void this.#tryAgain();
    }, retryMs);
    this.#retry.unref();
  }

  async #tryAgain(): Promise<void> {
    if (this.#closed) return;
    await this.flush();
    this.#work();
    await this.flush();
    try {
      if (this.#queue.length > 0) throw new Error("settlements still wait");
      await this.#fillReserve();
      this.#trouble = "none";
      this.#options.log.info("the ledger's journal can be written again", { file: this.#options.directory });
    } catch {
      this.#retryLater();
    }
  }

  #fillReserve(): Promise<void> {
    if (this.#options.reserveBytes === 0 || this.#reserve !== undefined) return Promise.resolve();
    this.#filling ??= this.#writeReserve().finally(() => {
      this.#filling = undefined;
    });
    return this.#filling;
  }

  async #writeReserve(): Promise<void> {
    const { directory, files, reserveBytes } = this.#options;
    const file = await files.create(join(directory, reserveName), false);
    try {
      for (let at = 0; at < reserveBytes && !this.#closed; at += reserveChunk.length) {
        await file.write(reserveChunk.subarray(0, Math.min(reserveChunk.length, reserveBytes - at)), at);
      }
    } catch (thrown) {
      await file.truncate(0).catch(nothing);
      await file.close().catch(nothing);
      throw thrown;
    }
    this.#reserve = file;
  }

  async #freeReserve(): Promise<void> {
    const file = this.#reserve;
    this.#reserve = undefined;
    await file?.truncate(0).catch(nothing);
    await file?.close().catch(nothing);
  }
}

function unavailable(cause?: unknown): GatewayError {
  return new GatewayError("ledger_unavailable", "the ledger cannot record this call now; repeat it later", {
    retryAfterMs: 1_000,
    undispatched: true,
    ...(cause === undefined ? {} : { cause }),
  });
}
