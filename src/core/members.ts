/** Members of JSON objects from providers, which may hold anything: what is of another type counts as absent. */
import type { Extras } from "./event.ts";
import { isJsonObject, type JsonObject, type JsonValue, jsonText } from "./json.ts";

/** A member that is text, else the empty string. */
export function textMember(object: JsonObject, name: string): string {
  const value = object[name];
  return typeof value === "string" ? value : "";
}

/** A member that is a number, else undefined. */
export function numberMember(object: JsonObject, name: string): number | undefined {
  const value = object[name];
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}

/** A member that is an object, else undefined. */
export function objectMember(object: JsonObject, name: string): JsonObject | undefined {
  const value = object[name];
  return isJsonObject(value) ? value : undefined;
}

/** The objects of a member that is an array; none where it is not. */
export function objectsMember(object: JsonObject, name: string): JsonObject[] {
  const value = object[name];
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}

/** The members that are not known, as extras_json of `format` holds them; nulls are kept. */
export function unknownMembers(object: JsonObject, known: ReadonlySet<string>, format: string): Extras {
  let text = "";
  for (const name of Object.keys(object)) {
    if (!known.has(name)) text += `${text === "" ? "" : ","}${JSON.stringify(name)}:${jsonText(object[name] as JsonValue)}`;
  }
  return text === "" ? {} : { [format]: `{${text}}` };
}
