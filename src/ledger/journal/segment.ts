/** Journal segments as they lie on disk: their names, their records, and whether each continues the one before it. */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { type JournalRecord, readRecord, type SegmentHeader } from "./record.ts";

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

export interface SegmentEnd {
  /** Bytes of whole records. */
  readonly bytes: number;
  /** Whether more than zeros follow: a record that was torn or damaged. */
  readonly torn: boolean;
}

/** The records of one segment up to the first that is torn or damaged. */
export async function* readSegment(directory: string, number: number): AsyncGenerator<JournalRecord, SegmentEnd> {
  const bytes = await readFile(join(directory, segmentName(number)));
  let at = 0;
  for (let count = 1; ; count++) {
    const found = readRecord(bytes, at);
    if (found === undefined) break;
    at = found.end;
    yield found.record;
    if (count % recordsPerTurn === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  return { bytes: at, torn: hasMore(bytes, at) };
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
