/** How many connections the process may hold so that files and connections to providers still find a descriptor (reliability.md 4.5, P7). */
import { readFileSync } from "node:fs";

/** Files, databases, journals, pipes: what a process of ours has open beside connections. */
const reserved = 64;
/** Fewer would serve nobody. */
const least = 8;

/** Half of what is left: a call may need a connection to its provider. Undefined where the system does not say what it allows. */
export function connectionsWithin(descriptors: number | undefined): number | undefined {
  return descriptors === undefined ? undefined : Math.max(least, Math.floor((descriptors - reserved) / 2));
}

/** Descriptors that this process may have open; undefined where nobody says, or there is no limit. */
export function descriptorLimit(read: () => string = readLimits): number | undefined {
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(read())?.[1];
    return soft === undefined ? undefined : Number(soft);
  } catch {
    // Not every system has the file.
    return undefined;
  }
}

function readLimits(): string {
  return readFileSync("/proc/self/limits", "utf8");
}
