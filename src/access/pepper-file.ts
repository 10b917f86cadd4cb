/**
 * Peppers of a data directory: `pepper` holds the current one, `pepper.previous` older ones, a line each. Several processes
 * that begin at once get the same; one that runs reads them again when it meets a key of a pepper that it does not know.
 */
import { randomBytes } from "node:crypto";
import { closeSync, linkSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Secret } from "../core/secret.ts";
import { exitCodes, StartError } from "../core/start-error.ts";
import { createPepper, createPeppers, minPepperLength, type Pepper, type Peppers } from "./pepper.ts";

export interface PepperSettings {
  /** Absent: the file of the data directory. */
  readonly pepper?: Secret | undefined;
  readonly previous_peppers?: readonly Secret[] | undefined;
}

const fileName = "pepper";
const previousName = "pepper.previous";
const lockName = "pepper.lock";

/** How often the files are read again for keys of an unknown pepper, in milliseconds. */
const rereadMs = 1_000;

/** Throws StartError where a file cannot be read or made. */
export function openPeppers({ pepper, previous_peppers: previous = [] }: PepperSettings, dataDir: string): Peppers {
  const configured = previous.map(createPepper);
  if (pepper !== undefined) return createPeppers(createPepper(pepper), configured);
  return new FilePeppers(dataDir, configured);
}

class FilePeppers implements Peppers {
  readonly #dataDir: string;
  readonly #configured: readonly Pepper[];
  #peppers: Peppers;
  #readAt = performance.now();

  constructor(dataDir: string, configured: readonly Pepper[]) {
    this.#dataDir = dataDir;
    this.#configured = configured;
    this.#peppers = this.#read();
  }

  get current(): Pepper {
    return this.#peppers.current;
  }

  get previous(): readonly Pepper[] {
    return this.#peppers.previous;
  }

  find(id: string): Pepper | undefined {
    const found = this.#peppers.find(id);
    if (found !== undefined || performance.now() - this.#readAt < rereadMs) return found;
    this.#readAt = performance.now();
    this.#peppers = this.#read();
    return this.#peppers.find(id);
  }

  #read(): Peppers {
    return explaining(this.#dataDir, () => {
      const path = join(this.#dataDir, fileName);
      const current = createPepper(readSecret(readIfThere(path) ?? makeFile(this.#dataDir, path), path));
      return createPeppers(current, [...this.#configured, ...readPrevious(this.#dataDir).map(createPepper)]);
    });
  }
}

/**
 * Makes another pepper the current one and keeps the old as a previous one, so that no key stops. Throws StartError where
 * that cannot be written, or somebody else does the same.
 */
export function rotatePepperFile(dataDir: string): { readonly from: Pepper; readonly to: Pepper } {
  return explaining(dataDir, () => {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    const lock = join(dataDir, lockName);
    closeSync(openLock(lock));
    try {
      const path = join(dataDir, fileName);
      const old = readSecret(readIfThere(path) ?? makeFile(dataDir, path), path);
      const fresh = new Secret(randomBytes(32).toString("hex"));
      // The old one first: at no time is there a key whose pepper is nowhere.
      const kept = [...new Set([...readPrevious(dataDir), old].map((secret) => secret.reveal()))];
      replaceFile(join(dataDir, previousName), `${kept.join("\n")}\n`);
      replaceFile(path, `${fresh.reveal()}\n`);
      return { from: createPepper(old), to: createPepper(fresh) };
    } finally {
      rmSync(lock, { force: true });
    }
  });
}

function openLock(path: string): number {
  try {
    return openSync(path, "wx", 0o600);
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
    throw new StartError(`${path} is there: the pepper is being changed by somebody else; remove it where nobody does`, exitCodes.io);
  }
}

function readPrevious(dataDir: string): Secret[] {
  const path = join(dataDir, previousName);
  const lines = (readIfThere(path) ?? "").split("\n").map((line) => line.trim());
  return lines.filter((line) => line !== "").map((line) => readSecret(line, path));
}

function readSecret(text: string, path: string): Secret {
  if (text.length < minPepperLength) throw new StartError(`${path} holds no pepper; restore it, or set auth.pepper`);
  return new Secret(text);
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim();
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** Written whole under another name first, then linked: whoever comes second finds a complete file. */
function makeFile(dataDir: string, path: string): string {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const scratch = writeScratch(path, `${randomBytes(32).toString("hex")}\n`);
  try {
    linkSync(scratch, path);
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
  } finally {
    rmSync(scratch, { force: true });
  }
  return readFileSync(path, "utf8").trim();
}

function replaceFile(path: string, text: string): void {
  const scratch = writeScratch(path, text);
  try {
    renameSync(scratch, path);
  } finally {
    rmSync(scratch, { force: true });
  }
}

function writeScratch(path: string, text: string): string {
  const scratch = `${path}.${process.pid}.${randomBytes(6).toString("hex")}`;
  writeFileSync(scratch, text, { mode: 0o600, flag: "wx" });
  return scratch;
}

function explaining<Result>(dataDir: string, work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    if (error instanceof StartError) throw error;
    const path = join(dataDir, fileName);
    const code = codeOf(error) ?? "unknown error";
    throw new StartError(`${path} cannot be read or made (${code}); make data_dir writable, or set auth.pepper`, exitCodes.io, error);
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error ? String(error.code) : undefined;
}
