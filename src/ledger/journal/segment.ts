/** Journal segments as they lie on disk: their names, their records, and whether each continues the one before it. */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { findRecord, type JournalRecord, journalVersion, readRecord, type SegmentHeader } from "./record.ts";

const pattern = /^(\d{8})\.segment$/;

export function segmentName(number: number): string {
  return `${String(number).padStart(8, "0")}.segment`;
}

/** Numbers of a directory's segments, oldest first; none where there is no directory. */
export async function listSegments(directory: string): Promise<number[]> {
  const names = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });
  return names
    .flatMap((name) => pattern.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((left, right) => left - right);
}

/** Records are read so many at a time between two turns of the event loop. */
const recordsPerTurn = 256;

/** Bytes between records that are none: they were changed after they were written. */
export interface Gap {
  /** Where they begin. */
  readonly at: number;
  readonly bytes: number;
}

export interface SegmentEnd {
  /** Where the last whole record ends. */
  readonly bytes: number;
  readonly gaps: readonly Gap[];
  /** Whether more than zeros follow: a record that was torn or damaged. */
  readonly torn: boolean;
}

/** A journal that a newer program wrote: this one does not know what its records mean. */
export class JournalVersionError extends Error {
  override readonly name = "JournalVersionError";

  constructor(file: string, version: number) {
    super(`${file} has version ${version}, this program reads up to ${journalVersion}`);
  }
}

/** The whole records of one segment, also those behind damage. Throws JournalVersionError, and Node's errors of files. */
export async function* readSegment(directory: string, number: number): AsyncGenerator<JournalRecord, SegmentEnd> {
  const path = join(directory, segmentName(number));
  const bytes = await readFile(path);
  const gaps: Gap[] = [];
  let at = 0;
  for (let count = 1; ; count++) {
    const found = readRecord(bytes, at);
    if (found === undefined) {
      const next = findRecord(bytes, at + 1);
      if (next === undefined) break;
      gaps.push({ at, bytes: next - at });
      at = next;
      continue;
    }
    at = found.end;
    const { record } = found;
    if (record.is === "header" && record.header.version > journalVersion) throw new JournalVersionError(path, record.header.version);
    yield record;
    if (count % recordsPerTurn === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  return { bytes: at, gaps, torn: hasMore(bytes, at) };
}

/** Where whole records end, and what was torn, without the records. */
export async function checkSegment(
  directory: string,
  number: number,
): Promise<SegmentEnd & { readonly header: SegmentHeader | undefined }> {
  const reading = readSegment(directory, number);
  let header: SegmentHeader | undefined;
  for (;;) {
    const { done, value } = await reading.next();
    if (done) return { ...value, header };
    if (value.is === "header") header ??= value.header;
  }
}

/** SHA-256 of a segment's first bytes, as its successor's header has it. */
export async function hashSegment(directory: string, number: number, bytes: number): Promise<string> {
  const content = await readFile(join(directory, segmentName(number)));
  return createHash("sha256").update(content.subarray(0, bytes)).digest("hex");
}

function hasMore(bytes: Buffer, from: number): boolean {
  for (let at = from; at < bytes.length; at++) if (bytes[at] !== 0) return true;
  return false;
}
