/**
 * Whose a journal directory is. Every process writes one of its own, `<epoch>`; a directory whose process is dead is
 * taken over by renaming it, which succeeds for one of several that try.
 */
import { copyFile, mkdir, readdir, readFile, readlink, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Clock } from "../../core/clock.ts";

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

/**
 * Silence is measured by the clock on the wall, which may be set forward. Whoever is silent by it must also stand still
 * between looks, by a clock that nobody sets.
 */
export class SilenceWatch {
  readonly #clock: Pick<Clock, "now">;
  readonly #seen = new Map<string, { readonly beat: number; readonly at: number }>();

  constructor(clock: Pick<Clock, "now">) {
    this.#clock = clock;
  }

  /** Whether the last sign of life was the same one so long ago that another must have come. */
  confirms(name: string, beat: number): boolean {
    const now = this.#clock.now();
    const seen = this.#seen.get(name);
    if (seen?.beat === beat) return now - seen.at >= 2 * heartbeatMs;
    this.#seen.set(name, { beat, at: now });
    return false;
  }
}

/** Directories of the dead, now of the process with this epoch. */
export async function takeOverDead(root: string, epoch: string, watch: SilenceWatch): Promise<string[]> {
  const taken: string[] = [];
  for (const { name, directory, alive, silentSince } of await listOwners(root)) {
    if (name === epoch || alive || (silentSince !== undefined && !watch.confirms(name, silentSince))) continue;
    const mine = join(root, `${epochOf(name)}~${epoch}`);
    if (directory === mine) continue;
    const owner = JSON.stringify(await describeThisProcess());
    try {
      await rename(directory, mine);
      await writeFile(join(mine, ownerFile), owner).catch((error: unknown) => {
        if (isAbsent(error)) throw error;
        // It has been taken all the same: left out now, nobody would look at it before the next start.
      });
      taken.push(mine);
    } catch (error) {
      // Another one was faster.
      if (!isAbsent(error)) throw error;
    }
  }
  return taken;
}

export interface OwnedDirectory {
  /** Of the directory. */
  readonly name: string;
  readonly directory: string;
  readonly alive: boolean;
  /** When a process that nobody here can see gave its last sign; undefined where it is known whether it lives. */
  readonly silentSince: number | undefined;
}

/** Every journal directory, oldest first, and whether its process lives. */
export async function listOwners(root: string): Promise<OwnedDirectory[]> {
  const found: OwnedDirectory[] = [];
  for (const name of (await listNames(root)).filter((name) => epochPattern.test(name)).sort()) {
    const directory = join(root, name);
    found.push({ name, directory, ...(await judge(directory)) });
  }
  return found;
}

/** Copies damaged segments to where nothing is taken over or deleted. Gives the place. */
export async function keepDamaged(directory: string, segments: readonly string[]): Promise<string> {
  const place = join(dirname(directory), `${epochOf(basename(directory))}.damaged`);
  await mkdir(place, { recursive: true, mode: 0o700 });
  for (const segment of segments) await copyFile(join(directory, segment), join(place, segment));
  return place;
}

/** Where damaged segments are kept. */
export async function listDamaged(root: string): Promise<string[]> {
  return (await listNames(root)).filter((name) => name.endsWith(".damaged")).map((name) => join(root, name));
}

/** Of a directory's name, whoever has taken it over. */
function epochOf(name: string): string {
  return name.split("~", 1)[0] ?? name;
}

function listNames(root: string): Promise<string[]> {
  return readdir(root).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });
}

async function judge(directory: string): Promise<Pick<OwnedDirectory, "alive" | "silentSince">> {
  const path = join(directory, ownerFile);
  try {
    const owner: Owner = JSON.parse(await readFile(path, "utf8"));
    const here = await describeThisProcess();
    if (owner.boot !== here.boot) return { alive: false, silentSince: undefined };
    if (owner.namespace !== here.namespace) {
      const { mtimeMs } = await stat(path);
      return { alive: Date.now() - mtimeMs < silentMs, silentSince: mtimeMs };
    }
    const runs = owner.startTime === "" ? exists(owner.pid) : (await startTimeOf(owner.pid)) === owner.startTime;
    return { alive: runs, silentSince: undefined };
  } catch (error) {
    // Disowned, or never written whole. Of what cannot be read now, as where no descriptor is left, nobody knows that it is dead.
    return { alive: !isAbsent(error) && !(error instanceof SyntaxError), silentSince: undefined };
  }
}

async function describeThisProcess(): Promise<Owner> {
  return {
    pid: process.pid,
    startTime: await startTimeOf(process.pid),
    boot: await textUnlessAbsent(readFile("/proc/sys/kernel/random/boot_id", "utf8")),
    namespace: await textUnlessAbsent(readlink("/proc/self/ns/pid")),
  };
}

/** Ticks since the machine's start, field 22 of proc(5) stat; empty where the process or the file system is not there. */
async function startTimeOf(pid: number): Promise<string> {
  const text = await textUnlessAbsent(readFile(`/proc/${pid}/stat`, "utf8"));
  // The name, in parentheses, may hold anything.
  return text.slice(text.lastIndexOf(")") + 2).split(" ")[19] ?? "";
}

/** Empty where there is no such file, as on systems without proc(5); rejects where it cannot be read. */
async function textUnlessAbsent(reading: Promise<string>): Promise<string> {
  try {
    return (await reading).trim();
  } catch (error) {
    if (isAbsent(error)) return "";
    throw error;
  }
}

/** A process that ends while it is read is not there either. */
function isAbsent(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ESRCH" || error.code === "ENOTDIR");
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
