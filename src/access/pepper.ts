/**
 * The pepper: what turns a key's secret into its stored hash, kept apart from the database, so that whoever reads the
 * database cannot even try secrets.
 */
import { createHash, createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { chmodSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Secret } from "../core/secret.ts";
import { exitCodes, StartError } from "../core/start-error.ts";

export interface Pepper {
  /** Which one it is, without telling it. */
  readonly id: string;
  /** HMAC-SHA-256 of a key's secret, in lower-case hex. */
  hash(secret: string): string;
  /** Whether a secret has this hash; takes the same time for every secret. */
  matches(secret: string, hash: string): boolean;
}

/** Least characters of a pepper: 128 bits in hex. */
export const minPepperLength = 32;

const fileName = "pepper";

export function createPepper(secret: Secret): Pepper {
  const key = secret.reveal();
  const digest = (text: string) => createHmac("sha256", key).update(text, "utf8").digest();
  return {
    id: createHash("sha256").update(`dragoman pepper ${key}`).digest("hex").slice(0, 8),
    hash: (text) => digest(text).toString("hex"),
    matches(text, hash) {
      const wanted = Buffer.from(hash, "hex");
      const found = digest(text);
      return wanted.length === found.length && timingSafeEqual(found, wanted);
    },
  };
}

/**
 * The configured pepper, or the one of the data directory, which is made at its first use: several processes that begin at
 * once get the same. Throws StartError where the file cannot be read or made.
 */
export function openPepper(configured: Secret | undefined, dataDir: string): Pepper {
  if (configured !== undefined) return createPepper(configured);
  const path = join(dataDir, fileName);
  try {
    const text = readIfThere(path) ?? makeFile(dataDir, path);
    if (text.length < minPepperLength) throw new StartError(`${path} holds no pepper; restore it, or set auth.pepper`);
    return createPepper(new Secret(text));
  } catch (error) {
    if (error instanceof StartError) throw error;
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown error";
    throw new StartError(`${path} cannot be read or made (${code}); make data_dir writable, or set auth.pepper`, exitCodes.io, error);
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim();
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

/** Written whole under another name first, then linked: whoever comes second finds a complete file. */
function makeFile(dataDir: string, path: string): string {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const scratch = `${path}.${process.pid}.${randomBytes(6).toString("hex")}`;
  writeFileSync(scratch, `${randomBytes(32).toString("hex")}\n`, { mode: 0o600, flag: "wx" });
  try {
    chmodSync(scratch, 0o600);
    linkSync(scratch, path);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  } finally {
    rmSync(scratch, { force: true });
  }
  return readFileSync(path, "utf8").trim();
}
