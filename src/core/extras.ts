/**
 * Unknown fields on their way out (contract.md 1, rule 6): those of the written format come back under the modelled
 * fields, those of other formats are reported as dropped.
 */
import { type JsonObject, mergeExtras, upstreamJsonLimits, type WritableObject } from "./json.ts";
import { readJsonObject } from "./json-field.ts";
import type { TranslationReport } from "./translation.ts";

/**
 * One dropped note for each unknown field of a format that is not written. Nulls mean absent and are ignored.
 * `path` is where the fields stand in the core request: empty for the request itself, `messages[0].parts[1]` for a part.
 * Throws invalid_request where a value is no JSON text of an object.
 */
export function reportForeignExtras(
  extrasJson: Readonly<Record<string, string>>,
  format: string,
  path: string,
  report: TranslationReport,
): void {
  for (const other of Object.keys(extrasJson)) {
    if (other === format) continue;
    const fields = readExtras(extrasJson, other, path);
    for (const name of Object.keys(fields)) {
      if (fields[name] !== null) report.dropped(path === "" ? name : `${path}.${name}`, `a field of ${other}`);
    }
  }
}

/**
 * Adds the unknown fields of `format` to `target`, where a modelled field of the same name wins, and reports those of
 * other formats. Throws invalid_request where a value is no JSON text of an object.
 */
export function writeExtras(
  target: WritableObject,
  extrasJson: Readonly<Record<string, string>>,
  format: string,
  path: string,
  report: TranslationReport,
): void {
  if (extrasJson[format] !== undefined) {
    readExtras(extrasJson, format, path);
    mergeExtras(target, extrasJson[format]);
  }
  reportForeignExtras(extrasJson, format, path, report);
}

function readExtras(extrasJson: Readonly<Record<string, string>>, format: string, path: string): JsonObject {
  return readJsonObject(extrasJson[format] || "{}", `${path === "" ? "" : `${path}.`}extras_json.${format}`, upstreamJsonLimits);
}
