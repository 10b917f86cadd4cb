/** What Anthropic's structured output refuses of JSON Schema. */
import { isObject, type JsonObject } from "../../shape.ts";

const refusedKeywords: Readonly<Record<string, readonly string[]>> = {
  integer: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  number: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  string: ["minLength", "maxLength", "pattern"],
  array: ["maxItems", "uniqueItems"],
  object: ["minProperties", "maxProperties", "patternProperties"],
};
const formats = ["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];
const maxDepth = 100;

/** What is wrong, in the vendor's words; undefined where the schema will do. */
export function schemaProblem(schema: unknown, depth = 0): string | undefined {
  if (!isObject(schema) || depth > maxDepth) return undefined;
  const own = ownProblem(schema);
  if (own !== undefined) return own;
  const children: unknown[] = [schema.items];
  for (const key of ["properties", "$defs", "definitions"]) if (isObject(schema[key])) children.push(...Object.values(schema[key]));
  for (const key of ["anyOf", "allOf"]) if (Array.isArray(schema[key])) children.push(...(schema[key] as unknown[]));
  for (const child of children) {
    const problem = schemaProblem(child, depth + 1);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function ownProblem(schema: JsonObject): string | undefined {
  const type = Array.isArray(schema.type) ? schema.type.find((one) => one !== "null") : schema.type;
  if (schema.not !== undefined) return "Schema keyword 'not' is not supported";
  if (schema.oneOf !== undefined) return "Schema type 'oneOf' is not supported";
  const refused = (refusedKeywords[String(type)] ?? []).filter((keyword) => schema[keyword] !== undefined);
  if (refused.length > 0)
    return `For '${String(type)}' type, propert${refused.length > 1 ? "ies" : "y"} ${refused.map((one) => `'${one}'`).join(", ")} ${refused.length > 1 ? "are" : "is"} not supported`;
  if (type === "array" && Number(schema.minItems ?? 0) > 1)
    return "For 'array' type, 'minItems' values other than 0 or 1 are not supported";
  if (type === "string" && schema.format !== undefined && !formats.includes(String(schema.format))) {
    return `For 'string' type, format '${String(schema.format)}' is not supported`;
  }
  if (type === "object" && schema.additionalProperties !== false)
    return "For 'object' type, 'additionalProperties' must be explicitly set to false";
  return undefined;
}
