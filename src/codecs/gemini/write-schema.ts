/**
 * JSON Schema as the subset of OpenAPI 3.0 that `parameters` and `responseSchema` take; anything else in them is a 400.
 * https://ai.google.dev/api/caching#Schema
 */
import { isJsonObject, type JsonObject, type JsonValue, jsonText, type Writable, type WritableObject } from "../../core/json.ts";
import type { TranslationReport } from "../../core/translation.ts";

/** Taken over as they are. */
const plain: ReadonlySet<string> = new Set([
  "title",
  "nullable",
  "maxItems",
  "minItems",
  "required",
  "minProperties",
  "maxProperties",
  "minimum",
  "maximum",
  "minLength",
  "maxLength",
  "pattern",
  "example",
  "default",
  "propertyOrdering",
]);

/** Written in some other place, or about the document alone. */
const silent: ReadonlySet<string> = new Set([
  "$schema",
  "$id",
  "$anchor",
  "$comment",
  "$defs",
  "definitions",
  "$ref",
  "type",
  "description",
  "format",
  "enum",
  "const",
  "properties",
  "items",
  "prefixItems",
  "anyOf",
  "oneOf",
  "allOf",
]);

const formats: ReadonlySet<string> = new Set(["enum", "date-time", "float", "double", "int32", "int64"]);

/** Deepest nesting that is written; references can make a small schema large. */
const maxDepth = 64;
const maxNodes = 20_000;

/** Reports one note for all changes, at `path`; a schema that refers to itself is refused. */
export function writeOpenApiSchema(schema: JsonObject, path: string, report: TranslationReport): WritableObject {
  const writer = new SchemaWriter(schema);
  const written = writer.write(schema, []);
  if (writer.refusal !== "") report.refused(path, writer.refusal);
  else if (writer.changed) report.coerced(path, "a schema in the subset of OpenAPI; what has no keyword there is in descriptions");
  return written;
}

class SchemaWriter {
  /** Whether the schema says the same in other words. */
  changed = false;
  /** Why the schema cannot be written; empty where it can. */
  refusal = "";
  readonly #root: JsonObject;
  #nodes = 0;

  constructor(root: JsonObject) {
    this.#root = root;
  }

  /** `through` are the references that led here. */
  write(value: JsonValue | undefined, through: readonly string[], depth = 0): WritableObject {
    if (!isJsonObject(value)) {
      // `true` is any value; `false`, no value, has no form.
      this.changed = true;
      return {};
    }
    if (depth > maxDepth || ++this.#nodes > maxNodes) {
      this.refusal ||= `the schema is too large once its references are written out`;
      return {};
    }
    const schema = this.#mergeAll(this.#resolve(value, through), through);
    const { at, references } = schema;
    const written: WritableObject = {};
    const words: string[] = typeof at.description === "string" && at.description !== "" ? [at.description] : [];
    this.#writeType(at, written);
    this.#writeValues(at, written, words);
    this.#writeFormat(at, written, words);
    for (const name of Object.keys(at)) {
      const member = at[name] as JsonValue;
      if (plain.has(name)) written[name] = member as Writable;
      else if (name.startsWith("$") || silent.has(name)) this.changed ||= name.startsWith("$") || name === "definitions";
      else this.#putIntoWords(name, member, words);
    }
    this.#writeProperties(at, written, references, depth);
    this.#writeItems(at, written, references, depth);
    this.#writeAlternatives(at, written, references, depth);
    if (words.length > 0) written.description = words.join("\n");
    return written;
  }

  #putIntoWords(name: string, value: JsonValue, words: string[]): void {
    this.changed = true;
    words.push(`${name}: ${jsonText(value)}`);
  }

  #resolve(schema: JsonObject, through: readonly string[]): { readonly at: JsonObject; readonly references: readonly string[] } {
    const reference = schema.$ref;
    if (typeof reference !== "string") return { at: schema, references: through };
    this.changed = true;
    if (through.includes(reference)) {
      this.refusal ||= `the schema refers to itself by ${reference.slice(0, 64)}`;
      return { at: {}, references: through };
    }
    const found = this.#find(reference);
    if (found === undefined) {
      this.refusal ||= `the schema refers to ${reference.slice(0, 64)}, which it does not hold`;
      return { at: {}, references: through };
    }
    const { $ref: _, ...beside } = schema;
    const resolved = this.#resolve(found, [...through, reference]);
    return { at: { ...resolved.at, ...beside }, references: resolved.references };
  }

  /** A JSON pointer into the schema itself (RFC 6901). */
  #find(reference: string): JsonObject | undefined {
    if (reference !== "#" && !reference.startsWith("#/")) return undefined;
    let at: JsonValue | undefined = this.#root;
    for (const step of reference.split("/").slice(1)) {
      const name = decode(step).replaceAll("~1", "/").replaceAll("~0", "~");
      if (typeof at !== "object" || at === null || !Object.hasOwn(at, name)) return undefined;
      at = (at as JsonObject)[name];
    }
    return isJsonObject(at) ? at : undefined;
  }

  /** `allOf` as one schema: properties and what is required are put together, else the first that says something holds. */
  #mergeAll({ at, references }: { readonly at: JsonObject; readonly references: readonly string[] }, through: readonly string[]) {
    if (!Array.isArray(at.allOf)) return { at, references };
    this.changed = true;
    const { allOf, ...merged } = at;
    let all = references;
    for (const member of allOf) {
      if (!isJsonObject(member)) continue;
      const resolved = this.#resolve(member, all);
      all = [...new Set([...through, ...all, ...resolved.references])];
      for (const name of Object.keys(resolved.at)) {
        const mine = merged[name];
        const theirs = resolved.at[name] as JsonValue;
        if (mine === undefined) merged[name] = theirs;
        else if (name === "properties" && isJsonObject(mine) && isJsonObject(theirs)) merged[name] = { ...theirs, ...mine };
        else if (name === "required" && Array.isArray(mine) && Array.isArray(theirs)) merged[name] = [...new Set([...mine, ...theirs])];
      }
    }
    return { at: merged, references: all };
  }

  #writeType({ type }: JsonObject, written: WritableObject): void {
    if (typeof type === "string") written.type = type.toUpperCase();
    if (!Array.isArray(type)) return;
    this.changed = true;
    const types = type.filter((name) => typeof name === "string" && name !== "null") as string[];
    if (types.length < type.length) written.nullable = true;
    if (types.length === 1) written.type = types[0]?.toUpperCase();
    else if (types.length > 1) written.anyOf = types.map((name) => ({ type: name.toUpperCase() }));
  }

  /** `const` is an enumeration of one; enumerations hold text only. */
  #writeValues(at: JsonObject, written: WritableObject, words: string[]): void {
    const values = Array.isArray(at.enum) ? at.enum : at.const === undefined ? undefined : [at.const];
    if (values === undefined) return;
    if (at.const !== undefined) this.changed = true;
    const texts = values.filter((value) => value !== null);
    if (texts.length < values.length) {
      this.changed = true;
      written.nullable = true;
    }
    if (texts.every((value) => typeof value === "string")) {
      written.type ??= "STRING";
      written.enum = texts;
    } else this.#putIntoWords("enum", values, words);
  }

  #writeFormat({ format }: JsonObject, written: WritableObject, words: string[]): void {
    if (format === undefined) return;
    if (typeof format === "string" && formats.has(format)) written.format = format;
    else this.#putIntoWords("format", format, words);
  }

  #writeProperties({ properties }: JsonObject, written: WritableObject, through: readonly string[], depth: number): void {
    if (!isJsonObject(properties)) return;
    const names: WritableObject = {};
    for (const name of Object.keys(properties)) {
      const value = this.write(properties[name], through, depth + 1);
      Object.defineProperty(names, name, { value, writable: true, enumerable: true, configurable: true });
    }
    written.type ??= "OBJECT";
    written.properties = names;
  }

  #writeItems({ items, prefixItems }: JsonObject, written: WritableObject, through: readonly string[], depth: number): void {
    if (Array.isArray(prefixItems)) {
      this.changed = true;
      written.items = { anyOf: prefixItems.map((item) => this.write(item, through, depth + 1)) };
    } else if (items !== undefined) written.items = this.write(items, through, depth + 1);
    else if (written.type === "ARRAY") {
      // The API refuses an array that does not say of what.
      this.changed = true;
      written.items = {};
    }
  }

  #writeAlternatives({ anyOf, oneOf }: JsonObject, written: WritableObject, through: readonly string[], depth: number): void {
    const alternatives = Array.isArray(anyOf) ? anyOf : Array.isArray(oneOf) ? oneOf : undefined;
    if (alternatives === undefined) return;
    if (!Array.isArray(anyOf)) this.changed = true;
    const others = alternatives.filter((alternative) => !(isJsonObject(alternative) && alternative.type === "null"));
    if (others.length < alternatives.length) {
      this.changed = true;
      written.nullable = true;
    }
    const schemas = others.map((alternative) => this.write(alternative, through, depth + 1));
    const [only] = schemas;
    if (schemas.length > 1) written.anyOf = schemas;
    else if (only !== undefined) for (const name of Object.keys(only)) written[name] ??= only[name];
  }
}

function decode(step: string): string {
  try {
    return decodeURIComponent(step);
  } catch {
    return step;
  }
}
