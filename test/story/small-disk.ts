/** A directory with little room: a file system of its own in memory, where this machine lets us have one. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface SmallDisk {
  readonly directory: string;
  /** Leaves no byte free; gives them back. */
  fill(): () => void;
  remove(): void;
}

/** Undefined where none can be had; `options` are those of mount(8) for tmpfs. */
export function makeSmallDisk(options: string): SmallDisk | undefined {
  const directory = mkdtempSync(join(tmpdir(), "dragoman-disk-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", directory], { stdio: "ignore" });
  } catch {
    rmSync(directory, { recursive: true, force: true });
    return undefined;
  }
  const filler = join(directory, "filler");
  return {
    directory,
    fill() {
      // Ever smaller pieces, until not even one byte has a place.
      for (let bytes = 1_048_576; bytes >= 1; ) {
        try {
          writeFileSync(filler, Buffer.alloc(bytes, 1), { flag: "a" });
        } catch {
          bytes = Math.floor(bytes / 2);
        }
      }
      return () => rmSync(filler, { force: true });
    },
    remove() {
      // Lazily: a test that failed may have left a file open.
      execFileSync("umount", ["-l", directory]);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
