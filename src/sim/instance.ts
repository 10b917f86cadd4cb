/**
 * A small instance of a JSON Schema: the same schema always gives the same value. Required members only, the first of
 * alternatives, the least of ranges. Not looked at: pattern, not, if, dependent and unevaluated keywords.
 */
import { isObject, type JsonObject } from "./shape.ts";

const maxDepth = 64;
const formats: Readonly<Record<string, string>> = {
  "date-time": "2025-01-01T00:00:00Z",
  date: "2025-01-01",
  time: "00:00:00Z",
  duration: "P1D",
  email: "sim@example.com",
  hostname: "example.com",
  ipv4: "192.0.2.1",
  ipv6: "2001:db8::1",
  uri: "https://example.com/",
  uuid: "00000000-0000-4000-8000-000000000000",
};

export function instanceOf(schema: unknown): unknown {
  return build(schema, schema, 0);
}

function build(schema: unknown, root: unknown, depth: number): unknown {
  if (!isObject(schema)) return {};
  if (depth > maxDepth) return null;
  if (typeof schema.$ref === "string") return build(resolve(schema.$ref, root), root, depth + 1);
  if (Object.hasOwn(schema, "const")) return schema.const;
  if (Array.isArray(schema.enum) && schema.enum.length > 0) return schema.enum[0];
  for (const key of ["anyOf", "oneOf"]) {
    const [first] = Array.isArray(schema[key]) ? (schema[key] as unknown[]) : [];
    if (first !== undefined) return build(isObject(first) ? { ...without(schema, key), ...first } : first, root, depth + 1);
  }
  if (Array.isArray(schema.allOf)) return build(merge(without(schema, "allOf"), schema.allOf, root), root, depth + 1);
  switch (typeOf(schema)) {
    case "object":
      return buildObject(schema, root, depth);
    case "array":
      return buildList(schema, root, depth);
    case "string":
      return buildString(schema);
    case "integer":
      return buildNumber(schema, 1);
    case "number":
      return buildNumber(schema, 0);
    case "boolean":
      return true;
    default:
      return null;
  }
}

/** Gemini writes types in capitals. */
function typeOf(schema: JsonObject): string {
  const type = Array.isArray(schema.type) ? (schema.type.find((one) => one !== "null") ?? "null") : schema.type;
  if (typeof type === "string") return type.toLowerCase();
  if (schema.properties !== undefined) return "object";
  return schema.items !== undefined || schema.prefixItems !== undefined ? "array" : "object";
}

function buildObject(schema: JsonObject, root: unknown, depth: number): JsonObject {
  const properties = isObject(schema.properties) ? schema.properties : {};
  const names = Array.isArray(schema.required) ? schema.required.filter((name) => typeof name === "string") : [];
  const value: JsonObject = {};
  for (const name of names) value[name] = Object.hasOwn(properties, name) ? build(properties[name], root, depth + 1) : "sim";
  return value;
}

function buildList(schema: JsonObject, root: unknown, depth: number): unknown[] {
  const prefix = Array.isArray(schema.prefixItems) ? schema.prefixItems : [];
  const least = Math.min(Math.max(count(schema.minItems) ?? 0, prefix.length), 1000);
  return Array.from({ length: least }, (_, index) => build(prefix[index] ?? schema.items, root, depth + 1));
}

function buildString(schema: JsonObject): string {
  const formatted = typeof schema.format === "string" ? formats[schema.format] : undefined;
  if (formatted !== undefined) return formatted;
  const least = Math.min(count(schema.minLength) ?? 0, 100_000);
  return "sim".padEnd(least, "m").slice(0, count(schema.maxLength));
}

function buildNumber(schema: JsonObject, step: number): number {
  const least = count(schema.minimum) ?? (count(schema.exclusiveMinimum) ?? -1) + 1;
  const most =
    count(schema.maximum) ?? (count(schema.exclusiveMaximum) === undefined ? undefined : (count(schema.exclusiveMaximum) ?? 0) - 1);
  const multiple = count(schema.multipleOf) ?? step;
  const value = multiple > 0 ? Math.ceil(least / multiple) * multiple : least;
  return most !== undefined && value > most ? most : value;
}

/** Gemini writes sizes as strings. */
function count(value: unknown): number | undefined {
  const number = typeof value === "string" && value !== "" ? Number(value) : value;
  return typeof number === "number" && Number.isFinite(number) ? number : undefined;
}

function without(schema: JsonObject, key: string): JsonObject {
  const { [key]: _, ...rest } = schema;
  return rest;
}

function merge(base: JsonObject, parts: readonly unknown[], root: unknown): JsonObject {
  const merged: JsonObject = { ...base };
  for (const part of parts) {
    const resolved = isObject(part) && typeof part.$ref === "string" ? resolve(part.$ref, root) : part;
    if (!isObject(resolved)) continue;
    const properties = { ...(merged.properties as JsonObject | undefined), ...(resolved.properties as JsonObject | undefined) };
    const names = [...((merged.required as string[] | undefined) ?? []), ...((resolved.required as string[] | undefined) ?? [])];
    Object.assign(merged, resolved, Object.keys(properties).length > 0 ? { properties } : {}, names.length > 0 ? { required: names } : {});
  }
  return merged;
}

/** A JSON pointer within the schema; undefined for anything else. */
function resolve(reference: string, root: unknown): unknown {
  if (!reference.startsWith("#")) return undefined;
  let value = root;
  for (const step of reference.slice(1).split("/").slice(1)) {
    if (!isObject(value)) return undefined;
    value = value[decodeURIComponent(step).replaceAll("~1", "/").replaceAll("~0", "~")];
  }
  return value;
}
