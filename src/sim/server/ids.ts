import { randomBytes } from "node:crypto";

/** An id in the vendors' manner: a prefix and 24 letters and digits. */
export function newId(prefix: string): string {
  return prefix + randomBytes(12).toString("hex");
}

/** Seconds since 1970. */
export function nowSeconds(): number {
  return Math.floor(Date.now() / 1000);
}
