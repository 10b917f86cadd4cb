/** Redacts JSON leaf by leaf, so that it stays JSON, and keeps no more than so much of it. */
import { isJsonObject, type JsonValue, parseJson, writeJson } from "../core/json.ts";
import { type Redact, redactStart } from "./summary.ts";

/** Characters that are left of a record's content. */
export interface Budget {
  left: number;
}

/** Numbers shorter than this are no card and no phone. */
const minNumberLength = 10;
/** What a value takes beside its text. */
const valueLength = 4;

export function redactJson(value: JsonValue, budget: Budget, redact: Redact): JsonValue {
  budget.left -= valueLength;
  if (typeof value === "string") return redactText(value, budget, redact);
  if (typeof value === "number" || typeof value === "bigint") {
    const text = String(value);
    budget.left -= text.length;
    const clean = text.length < minNumberLength ? text : redact(text);
    return clean === text ? value : clean;
  }
  if (Array.isArray(value)) {
    const kept: JsonValue[] = [];
    for (const item of value) {
      if (budget.left <= 0) break;
      kept.push(redactJson(item, budget, redact));
    }
    if (kept.length < value.length) kept.push(`[${value.length - kept.length} more]`);
    return kept;
  }
  if (!isJsonObject(value)) return value;
  const kept: [string, JsonValue][] = [];
  const members = Object.entries(value);
  for (const [name, member] of members) {
    if (budget.left <= 0) break;
    budget.left -= name.length;
    kept.push([redactStart(name, Math.max(0, budget.left), redact), redactJson(member, budget, redact)]);
  }
  if (kept.length < members.length) kept.push(["…", `[${members.length - kept.length} more]`]);
  return Object.fromEntries(kept);
}

/** JSON inside a string, as arguments of tools are, is redacted as JSON. */
function redactText(text: string, budget: Budget, redact: Redact): string {
  if (/^\s*[[{]/.test(text) && text.length <= budget.left) {
    const nested = readJson(text);
    if (nested !== undefined) return writeJson(redactJson(nested, budget, redact));
  }
  const room = Math.max(0, budget.left);
  const kept = redactStart(text, room, redact);
  budget.left -= Math.min(text.length, room);
  return text.length <= room ? kept : `${kept}… [${text.length} characters]`;
}

function readJson(text: string): JsonValue | undefined {
  try {
    return parseJson(text);
  } catch {
    return undefined;
  }
}
