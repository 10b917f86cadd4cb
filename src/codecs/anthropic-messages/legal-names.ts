/** Names and ids that the API accepts, made from any others in a way that is the same every time (contract.md 1, rule 8). */
import { createHash } from "node:crypto";

/** Longest tool name; ids have no stated limit. */
const maxNameLength = 128;
const legal = /^[a-zA-Z0-9_-]+$/;
const illegal = /[^a-zA-Z0-9_-]/gu;

/** An id of a tool call: itself where legal, else its legal characters and a hash of the whole. */
export function legalId(id: string): string {
  return legal.test(id) ? id : legalize(id, id.length);
}

/** An id for the call that uses one of an earlier turn again, which the API refuses; `occurrence` counts from 2. */
export function repeatedId(id: string, occurrence: number): string {
  return legalize(`${id}#${occurrence}`, id.length);
}

/** A tool's name, likewise, of at most 128 characters. */
export function legalToolName(name: string): string {
  return legal.test(name) && name.length <= maxNameLength ? name : legalize(name, maxNameLength - 9);
}

function legalize(text: string, length: number): string {
  const hash = createHash("sha256").update(text).digest("hex").slice(0, 8);
  return `${text.replace(illegal, "_").slice(0, length)}_${hash}`;
}
