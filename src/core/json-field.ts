/** JSON text that a client wrote into a field of the core (`parameters_json`, `schema_json`, `data_json`, extras). */
import { invalidField } from "./error.ts";
import { isJsonObject, type JsonLimits, type JsonObject, jsonLimits, RawJson, tryParseJson, upstreamJsonLimits } from "./json.ts";

/** Throws invalid_request, with `path` as the field, where the text is no JSON object. */
export function readJsonObject(text: string, path: string, limits: JsonLimits = jsonLimits): JsonObject {
  const value = tryParseJson(text, limits);
  if (isJsonObject(value)) return value;
  throw invalidField(path, "must be JSON text of one object");
}

/** The text as it stands, however deep. Throws where it is no JSON object: it would break the JSON around it. */
export function rawJsonObject(text: string, path: string): RawJson {
  readJsonObject(text, path, upstreamJsonLimits);
  return new RawJson(text);
}
