/**
 * A function call that arrives in pieces, as Vertex AI streams it when asked to: `partialArgs` with a JSON path
 * (RFC 9535, names and indexes only) and a value each, `willContinue` while more is to come. The pieces may fill any
 * place of the arguments, so their text is known only at the end.
 */
import type { JsonObject, JsonValue } from "../../core/json.ts";
import { objectsMember, textMember } from "../../core/members.ts";

type Step = string | number;

export class PartialCall {
  /** The arguments so far; undefined before the first piece. */
  args: JsonObject | undefined;

  read(call: JsonObject): void {
    for (const piece of objectsMember(call, "partialArgs")) {
      const value = pieceValue(piece);
      if (value === undefined) continue;
      this.args ??= {};
      place(this.args, steps(textMember(piece, "jsonPath")), value);
    }
  }
}

function pieceValue(piece: JsonObject): JsonValue | undefined {
  if ("nullValue" in piece) return null;
  return piece.stringValue ?? piece.numberValue ?? piece.boolValue;
}

const stepShape = /\.([^.[\]]+)|\[(\d{1,9})\]|\['((?:[^'\\]|\\.)*)'\]|\["((?:[^"\\]|\\.)*)"\]/gy;

function steps(path: string): Step[] {
  const found: Step[] = [];
  const rest = path.startsWith("$") ? path.slice(1) : `.${path}`;
  for (const [, name, index, single, double] of rest.matchAll(stepShape)) {
    if (index !== undefined) found.push(Number(index));
    else found.push(name ?? (single ?? double ?? "").replace(/\\(.)/g, "$1"));
  }
  return found;
}

/** Most elements that a piece may make an array grow to: an index is not believed beyond it. */
const maxIndex = 100_000;

/** Puts a value at its place; text is appended to text that stands there. */
function place(root: JsonObject, path: Step[], value: JsonValue): void {
  let at: JsonObject | JsonValue[] = root;
  for (let depth = 0; depth < path.length; depth++) {
    const step = path[depth] as Step;
    const before = get(at, step);
    if (depth === path.length - 1) {
      set(at, step, typeof before === "string" && typeof value === "string" ? before + value : value);
      return;
    }
    if (typeof before === "object" && before !== null) at = before;
    else {
      const next: JsonObject | JsonValue[] = typeof path[depth + 1] === "number" ? [] : {};
      set(at, step, next);
      at = next;
    }
  }
}

function get(container: JsonObject | JsonValue[], step: Step): JsonValue | undefined {
  if (Array.isArray(container)) return typeof step === "number" ? container[step] : undefined;
  return Object.hasOwn(container, step) ? container[step] : undefined;
}

function set(container: JsonObject | JsonValue[], step: Step, value: JsonValue): void {
  if (!Array.isArray(container)) {
    Object.defineProperty(container, step, { value, writable: true, enumerable: true, configurable: true });
  } else if (typeof step === "number" && step <= maxIndex) {
    while (container.length < step) container.push(null);
    container[step] = value;
  }
}
