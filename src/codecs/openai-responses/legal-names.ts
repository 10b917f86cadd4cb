/** Names and ids that the API accepts, made from any others in a way that is the same every time (contract.md 1, rule 8). */
import { createHash } from "node:crypto";

const maxLength = 64;
const legal = /^[a-zA-Z0-9_-]+$/;
const illegal = /[^a-zA-Z0-9_-]/gu;

/** A tool's name: itself where legal, else its legal characters and a hash of the whole. */
export function legalToolName(name: string): string {
  if (name === "" || (legal.test(name) && name.length <= maxLength)) return name;
  return `${name.replace(illegal, "_").slice(0, maxLength - 9)}_${shortHash(name)}`;
}

/** A call's id, likewise; only its length matters. */
export function legalCallId(id: string): string {
  return id.length <= maxLength ? id : `${id.slice(0, maxLength - 9)}_${shortHash(id)}`;
}

/** Eight hex digits of SHA-256. */
export function shortHash(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 8);
}
