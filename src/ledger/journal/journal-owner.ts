/**
 * Whose a journal directory is. Every process writes one of its own, `<epoch>`; a directory whose process is dead is
 * taken over by renaming it, which succeeds for one of several that try.
 */
import { mkdir, readdir, readFile, readlink, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** A process, so that another one with the same number is not taken for it. */
interface Owner {
  readonly pid: number;
  /** As the system counts it; empty where it does not say. */
  readonly startTime: string;
  /** Of the machine's run. */
  readonly boot: string;
  /** Of process numbers: those of other containers mean nothing here. */
  readonly namespace: string;
}

const ownerFile = "owner.json";
const epochPattern = /^([0-9A-Z]{26})(?:~[0-9A-Z]{26})?$/;
/** How often an owner shows that it lives, and after how long a silent one of another container is taken for dead. */
export const heartbeatMs = 5_000;
const silentMs = 30_000;

/** Makes the directory of this process, which is its own from the moment others see it. */
export async function createOwnDirectory(root: string, epoch: string): Promise<string> {
  const making = join(root, `${epoch}.new`);
  await mkdir(making, { recursive: true, mode: 0o700 });
  await writeFile(join(making, ownerFile), JSON.stringify(await describeThisProcess()));
  const directory = join(root, epoch);
  await rename(making, directory);
  return directory;
}

/** Shows that the owner lives. Never rejects. */
export async function touchOwner(directory: string): Promise<void> {
  const now = new Date();
  await utimes(join(directory, ownerFile), now, now).catch(() => {});
}

/** For a directory whose process lives on and writes there no more: whoever starts may take it. */
export async function disown(directory: string): Promise<void> {
  await rm(join(directory, ownerFile), { force: true });
}

/** Directories of the dead, now of the process with this epoch. */
export async function takeOverDead(root: string, epoch: string): Promise<string[]> {
  const taken: string[] = [];
  for (const { name, directory, alive } of await listOwners(root)) {
    if (alive) continue;
    const mine = join(root, `${name.slice(0, 26)}~${epoch}`);
    if (directory === mine) continue;
    try {
      await rename(directory, mine);
      await writeFile(join(mine, ownerFile), JSON.stringify(await describeThisProcess()));
      taken.push(mine);
    } catch (error) {
      // Another one was faster.
      if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
    }
  }
  return taken;
}

export interface OwnedDirectory {
  /** Of the directory. */
  readonly name: string;
  readonly directory: string;
  readonly alive: boolean;
}

/** Every journal directory, oldest first, and whether its process lives. */
export async function listOwners(root: string): Promise<OwnedDirectory[]> {
  const names = await readdir(root).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });
  const found: OwnedDirectory[] = [];
  for (const name of names.filter((name) => epochPattern.test(name)).sort()) {
    const directory = join(root, name);
    found.push({ name, directory, alive: await isOwned(directory) });
  }
  return found;
}

async function isOwned(directory: string): Promise<boolean> {
  const path = join(directory, ownerFile);
  try {
    const owner: Owner = JSON.parse(await readFile(path, "utf8"));
    const here = await describeThisProcess();
    if (owner.boot !== here.boot) return false;
    if (owner.namespace !== here.namespace) return Date.now() - (await stat(path)).mtimeMs < silentMs;
    return owner.startTime === "" ? exists(owner.pid) : (await startTimeOf(owner.pid)) === owner.startTime;
  } catch {
    return false;
  }
}

async function describeThisProcess(): Promise<Owner> {
  return {
    pid: process.pid,
    startTime: await startTimeOf(process.pid),
    boot: await readFile("/proc/sys/kernel/random/boot_id", "utf8").then(
      (text) => text.trim(),
      () => "",
    ),
    namespace: await readlink("/proc/self/ns/pid").catch(() => ""),
  };
}

/** Ticks since the machine's start, field 22 of proc(5) stat; empty where the process or the file system is not there. */
async function startTimeOf(pid: number): Promise<string> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, "utf8");
    // The name, in parentheses, may hold anything.
    return text.slice(text.lastIndexOf(")") + 2).split(" ")[19] ?? "";
  } catch {
    return "";
  }
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
