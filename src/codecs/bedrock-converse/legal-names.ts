/** Names and ids that the API accepts, made from any others in a way that is the same every time (contract.md 1, rule 8). */
import { createHash } from "node:crypto";

/** Of tool names and of ids. */
const maxLength = 64;
const legal = /^[a-zA-Z0-9_-]{1,64}$/;
const illegal = /[^a-zA-Z0-9_-]/gu;

/** An id of a tool call or a tool's name: itself where legal, else its legal characters and a hash of the whole. */
export function legalName(name: string): string {
  return legal.test(name) ? name : legalize(name);
}

/** An id for the call that uses one of an earlier turn again; `occurrence` counts from 2. */
export function repeatedId(id: string, occurrence: number): string {
  return legalize(`${id}#${occurrence}`);
}

function legalize(text: string): string {
  const hash = createHash("sha256").update(text).digest("hex").slice(0, 8);
  return `${text.replace(illegal, "_").slice(0, maxLength - 9)}_${hash}`;
}
