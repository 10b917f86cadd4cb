/**
 * An output schema in the subset of JSON Schema that services compile which hold a model to it: Anthropic's and, of the
 * same words, Bedrock's. What they do not take becomes words in the description, so that the model still reads it; answers
 * are not validated here.
 * https://platform.claude.com/docs/en/build-with-claude/structured-outputs#json-schema-limitations
 * https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html
 */
import { isJsonObject, type JsonObject, type JsonValue, jsonText } from "./json.ts";

/** The schema, and the keywords that were changed, each once; none: the schema may be sent as it was. */
export interface AdaptedSchema {
  readonly schema: JsonValue;
  readonly changed: readonly string[];
}

/** Keywords that are refused with a 400. */
const unsupported: ReadonlySet<string> = new Set([
  "minimum",
  "maximum",
  "exclusiveMinimum",
  "exclusiveMaximum",
  "multipleOf",
  "minLength",
  "maxLength",
  "pattern",
  "maxItems",
  "uniqueItems",
  "contains",
  "minContains",
  "maxContains",
  "minProperties",
  "maxProperties",
  "patternProperties",
  "propertyNames",
  "unevaluatedProperties",
  "unevaluatedItems",
  "dependentRequired",
  "dependentSchemas",
  "not",
  "if",
  "then",
  "else",
]);

const formats: ReadonlySet<string> = new Set(["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"]);

/** Keywords whose value maps names to schemas. */
const schemaMaps: ReadonlySet<string> = new Set(["properties", "$defs", "definitions"]);
/** Keywords whose value is a list of schemas. */
const schemaLists: ReadonlySet<string> = new Set(["anyOf", "allOf", "prefixItems"]);

export function adaptSchema(schema: JsonValue): AdaptedSchema {
  const changed = new Set<string>();
  const adapted = adapt(schema, changed);
  return { schema: adapted, changed: [...changed] };
}

function adapt(schema: JsonValue, changed: Set<string>): JsonValue {
  if (!isJsonObject(schema)) return schema;
  const adapted: JsonObject = {};
  const words: string[] = [];
  for (const keyword of Object.keys(schema)) {
    const value = schema[keyword] as JsonValue;
    if (isUnsupported(keyword, value)) {
      changed.add(keyword);
      words.push(`${keyword}: ${jsonText(value)}`);
    } else if (keyword === "oneOf" && schema.anyOf === undefined) {
      changed.add(keyword);
      adapted.anyOf = adaptList(value, changed);
    } else if (keyword === "oneOf") {
      changed.add(keyword);
      words.push(`${keyword}: ${jsonText(value)}`);
    } else if (schemaMaps.has(keyword)) adapted[keyword] = adaptMap(value, changed);
    else if (schemaLists.has(keyword)) adapted[keyword] = adaptList(value, changed);
    else if (keyword === "items") adapted[keyword] = adapt(value, changed);
    else adapted[keyword] = value;
  }
  if (isObjectSchema(schema) && adapted.additionalProperties !== false) {
    changed.add("additionalProperties");
    adapted.additionalProperties = false;
  }
  if (words.length > 0) {
    const description = typeof schema.description === "string" && schema.description !== "" ? `${schema.description}\n\n` : "";
    adapted.description = `${description}{${words.join(", ")}}`;
  }
  return adapted;
}

function isUnsupported(keyword: string, value: JsonValue): boolean {
  if (keyword === "minItems") return value !== 0 && value !== 1;
  if (keyword === "format") return typeof value === "string" && !formats.has(value);
  return unsupported.has(keyword);
}

function isObjectSchema({ type, properties }: JsonObject): boolean {
  return type === "object" || (Array.isArray(type) && type.includes("object")) || (type === undefined && isJsonObject(properties));
}

function adaptList(value: JsonValue, changed: Set<string>): JsonValue {
  return Array.isArray(value) ? value.map((entry) => adapt(entry, changed)) : value;
}

function adaptMap(value: JsonValue, changed: Set<string>): JsonValue {
  if (!isJsonObject(value)) return value;
  return Object.fromEntries(Object.keys(value).map((name) => [name, adapt(value[name] as JsonValue, changed)]));
}
