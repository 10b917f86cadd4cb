/** Names and ids that an API accepts, made from any others in a way that is the same every time (contract.md 1, rule 8). */
import { createHash } from "node:crypto";

/** What an API takes as a name. */
export interface NameRule {
  /** Of the whole name, but for its length. */
  readonly legal: RegExp;
  /** One character that is not taken; global, and by code points. */
  readonly illegal: RegExp;
  /** UTF-16 units; at least 10. Infinity where there is no limit. */
  readonly maxLength: number;
}

/** Length of what stands behind a name that was changed: an underscore and a hash. */
export const suffixLength = 9;

/** The name itself where it is legal, else its legal characters and a hash of the whole. */
export function legalName(name: string, { legal, illegal, maxLength }: NameRule): string {
  return legal.test(name) && name.length <= maxLength ? name : hashedName(name, illegal, maxLength);
}

/** The legal characters and a hash of the whole, whether it is legal or not. */
export function hashedName(name: string, illegal: RegExp, maxLength: number): string {
  return `${name.replace(illegal, "_").slice(0, maxLength - suffixLength)}_${shortHash(name)}`;
}

/** For names of which only the length counts. */
export function shortName(name: string, maxLength: number): string {
  return name.length <= maxLength ? name : `${name.slice(0, maxLength - suffixLength)}_${shortHash(name)}`;
}

/** Hex digits of SHA-256, 64 at most. */
export function shortHash(text: string, length = suffixLength - 1): string {
  return createHash("sha256").update(text).digest("hex").slice(0, length);
}
