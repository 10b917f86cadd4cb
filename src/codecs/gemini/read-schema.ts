/**
 * The API's own schemas (`parameters`, `responseSchema`: a subset of OpenAPI 3.0, types in capitals) as JSON Schema, which
 * says all that they say. https://ai.google.dev/api/caching#Schema
 */
import { isJsonObject, type JsonObject, type JsonValue, jsonText, type Writable, type WritableObject, writeJson } from "../../core/json.ts";
import { camelCase } from "./proto-json.ts";

/** 64-bit counts, which proto3's JSON writes as text. */
const counts: ReadonlySet<string> = new Set(["minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"]);
const types: ReadonlySet<string> = new Set(["STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"]);
const twoWordNames: ReadonlySet<string> = new Set([...counts, "anyOf", "propertyOrdering"]);

/** JSON text of the schema; the client's own text where nothing in it differs. */
export function readOpenApiSchema(schema: JsonObject): string {
  const before = jsonText(schema);
  const after = writeJson(readSchema(schema));
  return after === writeJson({ ...schema } as WritableObject) ? before : after;
}

function readSchema(schema: JsonValue | undefined): Writable {
  if (!isJsonObject(schema)) return schema;
  const read: WritableObject = {};
  for (const [key, value] of Object.entries(schema)) {
    const camel = camelCase(key);
    const name = twoWordNames.has(camel) ? camel : key;
    readKeyword(name, value, read, schema);
  }
  if (schema.nullable === true) allowNull(read);
  return read;
}

function readKeyword(name: string, value: JsonValue, read: WritableObject, schema: JsonObject): void {
  switch (name) {
    case "type":
      if (value !== "TYPE_UNSPECIFIED")
        read.type = typeof value === "string" && types.has(value) ? value.toLowerCase() : (value as Writable);
      break;
    case "nullable":
    case "propertyOrdering":
      // The one is written into the type, the other into the order of the properties.
      break;
    case "format":
      // Said of strings with an enum, which says it already.
      if (value !== "enum") read.format = value as Writable;
      break;
    case "example":
      read.examples = [value as Writable];
      break;
    case "properties":
      read.properties = isJsonObject(value)
        ? readProperties(value, schema.propertyOrdering ?? schema.property_ordering)
        : (value as Writable);
      break;
    case "items":
      read.items = readSchema(value);
      break;
    case "anyOf":
      read.anyOf = Array.isArray(value) ? value.map(readSchema) : (value as Writable);
      break;
    default:
      read[name] = counts.has(name) && typeof value === "string" && /^\d{1,15}$/.test(value) ? Number(value) : (value as Writable);
  }
}

function readProperties(properties: JsonObject, ordering: JsonValue | undefined): WritableObject {
  const first = Array.isArray(ordering) ? ordering.filter((name) => typeof name === "string" && Object.hasOwn(properties, name)) : [];
  const read: WritableObject = {};
  for (const name of new Set([...(first as string[]), ...Object.keys(properties)])) {
    const value = readSchema(properties[name]);
    Object.defineProperty(read, name, { value, writable: true, enumerable: true, configurable: true });
  }
  return read;
}

function allowNull(schema: WritableObject): void {
  if (typeof schema.type === "string" && schema.type !== "null") schema.type = [schema.type, "null"];
  if (Array.isArray(schema.enum)) schema.enum = [...schema.enum, null];
  if (Array.isArray(schema.anyOf)) schema.anyOf = [...schema.anyOf, { type: "null" }];
}
