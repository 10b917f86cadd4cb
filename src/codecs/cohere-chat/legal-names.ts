/** Names of tools that the API accepts, made from any others in a way that is the same every time (contract.md 1, rule 8). */
import { createHash } from "node:crypto";

const maxNameLength = 64;
const legal = /^[a-zA-Z0-9_]{1,64}$/;
const illegal = /[^a-zA-Z0-9_]/gu;

/** Letters, digits and _, as the API's guide to tools has it; else the legal characters and a hash of the whole. */
export function legalToolName(name: string): string {
  if (legal.test(name)) return name;
  const hash = createHash("sha256").update(name).digest("hex").slice(0, 8);
  return `${name.replace(illegal, "_").slice(0, maxNameLength - 9)}_${hash}`;
}
