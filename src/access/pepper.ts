/**
 * The pepper: what turns a key's secret into its stored hash, kept apart from the database, so that whoever reads the
 * database cannot even try secrets.
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { Secret } from "../core/secret.ts";

export interface Pepper {
  /** Which one it is, without telling it. */
  readonly id: string;
  /** HMAC-SHA-256 of a key's secret, in lower-case hex. */
  hash(secret: string): string;
  /** Whether a secret has this hash; takes the same time for every secret. */
  matches(secret: string, hash: string): boolean;
}

/** The pepper of new keys, and those of older ones, until these are hashed anew. */
export interface Peppers {
  readonly current: Pepper;
  readonly previous: readonly Pepper[];
  /** Undefined where it is not known here. */
  find(id: string): Pepper | undefined;
}

/** Least characters of a pepper: 128 bits in hex. */
export const minPepperLength = 32;

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

export function createPeppers(current: Pepper, previous: readonly Pepper[] = []): Peppers {
  const byId = new Map([...previous, current].map((pepper) => [pepper.id, pepper]));
  return { current, previous: previous.filter(({ id }) => id !== current.id), find: (id) => byId.get(id) };
}
