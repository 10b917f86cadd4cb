/** What the reader of an answer must know of its request, so that what the writer changed is undone. */
import { shortHash, suffixLength } from "../../core/legal-name.ts";

/** Longest name of a function. */
const maxNameLength = 128;
const legal = /^[a-zA-Z_][a-zA-Z0-9_.:-]*$/;
const illegal = /[^a-zA-Z0-9_.:-]/gu;

export class CallState {
  /** Tool names as the client wrote them, by the names that were sent; only those that differ. */
  readonly #originalNames = new Map<string, string>();
  /** Sent names of free-text tools: their text is the argument `input`. */
  readonly customTools = new Set<string>();

  /** Whether there is anything to undo. */
  get isNeeded(): boolean {
    return this.#originalNames.size > 0 || this.customTools.size > 0;
  }

  /** The name to send. */
  legalName(name: string): string {
    const sent = legalName(name);
    if (sent !== name) this.#originalNames.set(sent, name);
    return sent;
  }

  originalName(sent: string): string {
    return this.#originalNames.get(sent) ?? sent;
  }
}

/** A function's name: itself where the API takes it, else its legal characters and a hash of the whole (contract.md 1, rule 8). */
function legalName(name: string): string {
  if (legal.test(name) && name.length <= maxNameLength) return name;
  const letters = name.replace(illegal, "_");
  const start = /^[a-zA-Z_]/.test(letters) ? letters : `_${letters}`;
  return `${start.slice(0, maxNameLength - suffixLength)}_${shortHash(name)}`;
}
