/** Whether a file of SQLite is whole, looked at before anything is written to it: a gateway does not start on half its records. */
import { statSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";

/**
 * Files up to so many bytes are read through, which takes about a second for a GiB: every start may take a little of that,
 * one after an unclean end more. Of larger ones the head is looked at, and pages as they are used.
 */
const maxBytes = { afterCleanEnd: 64 << 20, afterUncleanEnd: 512 << 20 } as const;

/** A file that is being made is empty for a moment; one that stays so was cut off. */
const emptyForMs = 60_000;

/** https://www.sqlite.org/rescode.html#corrupt */
const corruptCode = 11;

/** Looks like SQLite's own error, which says the same of pages that it met. */
class DamageError extends Error {
  readonly errcode = corruptCode;
}

/** Of a file that is there already, before it is opened. Throws what SQLite would throw. */
export function refuseEmptyFile(file: string): void {
  const { size, mtimeMs } = statSync(file);
  if (size === 0 && Date.now() - mtimeMs > emptyForMs)
    throw new DamageError("the file is empty; if it never held anything, remove it to begin anew");
}

/** Before the connection writes. Throws SQLite's error, or one like it that names the first bad page and its place in the file. */
export function refuseDamage(opened: DatabaseSync, file: string): void {
  // The first statement that reads: a file that is no database, or shorter than its head says, is refused by SQLite here.
  opened.prepare("PRAGMA schema_version").get();
  const wal = statSync(`${file}-wal`, { throwIfNoEntry: false });
  const most = (wal?.size ?? 0) > 0 ? maxBytes.afterUncleanEnd : maxBytes.afterCleanEnd;
  if (statSync(file).size > most) return;
  const found = opened.prepare("PRAGMA quick_check(1)").all().flatMap(Object.values).map(String);
  if (found.length === 1 && found[0] === "ok") return;
  const [first = "nothing is known of it"] = found;
  throw new DamageError(`${first}${placeOf(first, opened)}`);
}

/** SQLite names pages by their number, from 1. */
function placeOf(text: string, opened: DatabaseSync): string {
  const page = /\bpage (\d+)/i.exec(text)?.[1];
  const size = opened.prepare("PRAGMA page_size").get()?.page_size;
  return page === undefined || typeof size !== "number" ? "" : `, at byte ${(Number(page) - 1) * size}`;
}
