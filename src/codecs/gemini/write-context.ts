/** What the parts of a request's writer share. */
import { invalidField } from "../../core/error.ts";
import { isJsonObject, JsonError, type JsonObject, type JsonValue, parseJson } from "../../core/json.ts";
import type { Target } from "../../core/target.ts";
import type { TranslationReport } from "../../core/translation.ts";
import type { CallState } from "./call-state.ts";
import type { GeminiQuirks } from "./quirks.ts";

export interface WriteContext {
  readonly target: Target;
  readonly report: TranslationReport;
  readonly quirks: GeminiQuirks;
  readonly state: CallState;
}

/** A JSON-valued field of the core. Throws invalid_request where the text is no JSON object. */
export function readJsonObject(text: string, path: string): JsonObject {
  const value = tryParseJson(text);
  if (isJsonObject(value)) return value;
  throw invalidField(path, "must be JSON text of one object");
}

/** Undefined where the text is no JSON. */
export function tryParseJson(text: string): JsonValue | undefined {
  try {
    return parseJson(text);
  } catch (error) {
    if (error instanceof JsonError) return undefined;
    throw error;
  }
}
