/** Looks at the journal of one process without changing it, except that a dead one's torn end may be cut. */
import { truncate } from "node:fs/promises";
import { join } from "node:path";
import type { OwnedDirectory } from "./journal-owner.ts";
import { checkSegment, listSegments, segmentName } from "./segment.ts";

export interface JournalFinding {
  /**
   * `torn`: what was being written when the process died, which is no whole record; the next start leaves it out. `cut`:
   * it was, and is gone now. `damaged`: bytes were changed, or are missing.
   */
  readonly kind: "torn" | "cut" | "damaged";
  readonly file: string;
  /** Where it begins. */
  readonly at: number;
}

/**
 * With `cutTails` the torn end of a dead process's last segment is cut; nothing else is ever changed. Throws
 * JournalVersionError for the journal of a newer program, and Node's errors of files.
 */
export async function examineJournal(
  { directory, alive }: Pick<OwnedDirectory, "directory" | "alive">,
  cutTails: boolean,
): Promise<readonly JournalFinding[]> {
  const found: JournalFinding[] = [];
  let before: { readonly file: string; readonly number: number; readonly bytes: number; readonly torn: boolean } | undefined;
  for (const number of await listSegments(directory)) {
    const file = join(directory, segmentName(number));
    const { header, gaps, torn, bytes } = await checkSegment(directory, number);
    // A segment that was left behind when a write failed may end in half a record: its successor says how long it was.
    const wasLonger = before !== undefined && (header?.previous === undefined ? before.torn : header.previous.bytes > before.bytes);
    if (before !== undefined && wasLonger) found.push({ kind: "damaged", file: before.file, at: before.bytes });
    if (before !== undefined && before.number !== number - 1)
      found.push({ kind: "damaged", file: join(directory, segmentName(number - 1)), at: 0 });
    found.push(...gaps.map(({ at }) => ({ kind: "damaged", file, at }) as const));
    before = { file, number, bytes, torn };
  }
  // One that lives may be in the middle of a record.
  if (before?.torn && !alive) {
    const { file, bytes: at } = before;
    if (cutTails) await truncate(file, at);
    found.push({ kind: cutTails ? "cut" : "torn", file, at });
  }
  return found;
}
