/** A file whose content is wanted whenever it changes, however it is changed: written, replaced, or swapped by a symbolic link. */
import { type FSWatcher, watch } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { dirname } from "node:path";

export interface WatchedFileOptions {
  readonly path: string;
  /** Called with the text after a change; never twice at once. */
  readonly changed: (text: string) => void;
  /** Called where the file cannot be read, or `changed` throws. */
  readonly failed: (error: unknown) => void;
  /** Milliseconds between looks at the file, for file systems that tell nothing. */
  readonly pollMs?: number;
}

/** A write in several pieces tells of itself several times. */
const settleMs = 50;

/** Watches until `close`; does not keep the process alive. The first text is the caller's own to read. */
export function watchFile({ path, changed, failed, pollMs = 400 }: WatchedFileOptions): { close(): void } {
  let closed = false;
  let reading = false;
  let again = false;
  let seen: string | undefined;
  let settling: NodeJS.Timeout | undefined;

  async function look(): Promise<void> {
    if (closed) return;
    if (reading) {
      again = true;
      return;
    }
    reading = true;
    try {
      const mark = await markOf(path);
      if (mark !== seen) {
        seen = mark;
        const text = await readFile(path, "utf8");
        if (!closed) changed(text);
      }
    } catch (error) {
      // What is gone now may come back with the same mark.
      if (isSystemError(error)) seen = undefined;
      if (!closed) failed(error);
    } finally {
      reading = false;
      if (again) {
        again = false;
        soon();
      }
    }
  }

  function soon(): void {
    clearTimeout(settling);
    settling = setTimeout(() => void look(), settleMs).unref();
  }

  // The directory, not the file: a replaced file is another one, and its watcher would stay with the old.
  const watcher = watchDirectory(dirname(path), soon);
  const poll = setInterval(() => void look(), pollMs).unref();
  return {
    close() {
      closed = true;
      clearTimeout(settling);
      clearInterval(poll);
      watcher?.close();
    },
  };
}

/** Changes with every way a file can change; symbolic links are followed. */
async function markOf(path: string): Promise<string> {
  const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
  return [dev, ino, size, mtimeNs, ctimeNs].join(":");
}

/** Undefined where the system has no watchers left: the poll alone is quick enough. */
function watchDirectory(directory: string, changed: () => void): FSWatcher | undefined {
  try {
    const watcher = watch(directory, { persistent: false }, changed);
    watcher.on("error", () => watcher.close());
    return watcher;
  } catch {
    return undefined;
  }
}

function isSystemError(error: unknown): boolean {
  return error instanceof Error && "syscall" in error;
}
