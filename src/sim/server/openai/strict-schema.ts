/** The rules of OpenAI's strict schemas: every property required, no others, and no keywords that decoding cannot follow. */
import { isObject, type JsonObject } from "../../shape.ts";

const refusedKeywords = [
  "allOf",
  "not",
  "dependentRequired",
  "dependentSchemas",
  "if",
  "then",
  "else",
  "patternProperties",
  "propertyNames",
];
const maxDepth = 100;

/** What is wrong, in OpenAI's words; undefined where the schema will do. */
export function strictSchemaProblem(schema: unknown): string | undefined {
  if (!isObject(schema)) return "schema must be a JSON Schema of 'type: \"object\"'.";
  if (schema.type !== "object") return `schema must be a JSON Schema of 'type: "object"', got 'type: "${String(schema.type ?? "None")}"'.`;
  return visit(schema, []);
}

function visit(schema: unknown, context: readonly string[]): string | undefined {
  if (!isObject(schema) || context.length > maxDepth) return undefined;
  const at = `In context=(${context.map((step) => `'${step}'`).join(", ")}${context.length === 1 ? "," : ""})`;
  const refused = refusedKeywords.find((keyword) => Object.hasOwn(schema, keyword));
  if (refused !== undefined) return `${at}, '${refused}' is not permitted.`;
  if (schema.type === "object" || schema.properties !== undefined) {
    const problem = objectProblem(schema, at);
    if (problem !== undefined) return problem;
  }
  for (const key of ["properties", "$defs", "definitions"]) {
    for (const [name, child] of Object.entries(isObject(schema[key]) ? schema[key] : {})) {
      const problem = visit(child, [...context, key, name]);
      if (problem !== undefined) return problem;
    }
  }
  for (const [index, child] of (Array.isArray(schema.anyOf) ? schema.anyOf : []).entries()) {
    const problem = visit(child, [...context, "anyOf", String(index)]);
    if (problem !== undefined) return problem;
  }
  return visit(schema.items, [...context, "items"]);
}

function objectProblem(schema: JsonObject, at: string): string | undefined {
  if (schema.additionalProperties !== false) return `${at}, 'additionalProperties' is required to be supplied and to be false.`;
  const names = Object.keys(isObject(schema.properties) ? schema.properties : {});
  const stated = Array.isArray(schema.required) ? schema.required : [];
  const missing = names.find((name) => !stated.includes(name));
  if (missing !== undefined) {
    return `${at}, 'required' is required to be supplied and to be an array including every key in properties. Missing '${missing}'.`;
  }
  const extra = stated.find((name) => !names.includes(String(name)));
  return extra === undefined
    ? undefined
    : `${at}, 'required' is required to be supplied and to be an array including every key in properties. Extra required key '${String(extra)}' supplied.`;
}
