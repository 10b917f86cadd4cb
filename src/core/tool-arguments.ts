/** Arguments of a call where a format wants an object, and models may write anything (contract.md 3.2). */
import { isJsonObject, RawJson, tryParseJson, type Writable } from "./json.ts";
import type { TranslationReport } from "./translation.ts";

/** The client's own text where it is an object, an empty object for none, else an object that holds the text; reported at `path`. */
export function objectArguments(argumentsJson: string, path: string, report: TranslationReport): Writable {
  const text = argumentsJson.trim();
  if (text === "") return {};
  if (isJsonObject(tryParseJson(text))) return new RawJson(text);
  report.emulated(`${path}.arguments_json`, "an object with the text, as arguments are objects");
  return { _raw: argumentsJson };
}
