/** What the schema found, in words that say what would be right. No message repeats a value: it may be a secret. */
import type { z } from "zod";
import { nearest } from "../core/nearest.ts";
import type { Problem } from "./problem.ts";
import { bareSchema, fixedPathsOf, keysOf, schemaAt } from "./schema-shape.ts";
import { type ConfigNode, nodeAt, type Path, placeOf, writePath } from "./tree.ts";

type Issue = z.core.$ZodIssue;

export function schemaProblems(issues: readonly Issue[], root: ConfigNode, schema: z.ZodType): Problem[] {
  return issues.flatMap((issue) => {
    const path = issue.path.filter((key) => typeof key !== "symbol");
    if (issue.code === "unrecognized_keys") return issue.keys.map((key) => unknownKey(path, key, root, schema));
    if (issue.code === "invalid_key") {
      const message = issue.issues.map((inner) => inner.message).join("; ");
      return [{ place: placeOf(root, path, "key"), path, message }];
    }
    return [{ place: placeOf(root, path, "value"), path, message: describeIssue(issue, nodeAt(root, path)) }];
  });
}

function unknownKey(path: Path, key: string, root: ConfigNode, schema: z.ZodType): Problem {
  const full = [...path, key];
  return { place: placeOf(root, full, "key"), path: full, message: `is not a known key${adviseKey(path, key, schema)}` };
}

/** A key nearby, else the same key in another section, else what there is. */
function adviseKey(path: Path, key: string, schema: z.ZodType): string {
  const siblings = keysOf(schemaAt(schema, path));
  const meant = nearest(key, siblings);
  if (meant !== undefined) return `; did you mean "${meant}"?`;
  const elsewhere = fixedPathsOf(bareSchema(schema)).find((fixed) => fixed.at(-1) === key);
  if (elsewhere !== undefined) return `; did you mean "${writePath(elsewhere)}"?`;
  return siblings.length === 0 || siblings.length > 14 ? "; `dragoman config schema` lists all" : `; known are ${siblings.join(", ")}`;
}

const typeWords: Record<string, string> = {
  string: "text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "a map",
  record: "a map",
};

function describeIssue(issue: Issue, node: ConfigNode | undefined): string {
  switch (issue.code) {
    case "invalid_type":
      return wrongType(issue.expected, node);
    case "too_small":
    case "too_big": {
      const limit = issue.code === "too_small" ? `at least ${issue.minimum}` : `at most ${issue.maximum}`;
      if (issue.origin === "string" || issue.origin === "array")
        return hasOwnWords(issue.message) ? issue.message : "is empty; give a value";
      return `must be ${limit}`;
    }
    case "invalid_value": {
      const known = issue.values.map(String);
      const meant = typeof node?.value === "string" ? nearest(node.value, known) : undefined;
      return `must be one of ${known.join(", ")}${meant === undefined ? "" : `; did you mean "${meant}"?`}`;
    }
    default:
      return issue.message;
  }
}

/** Zod's own sentences begin like this; the schema's never do. */
function hasOwnWords(message: string): boolean {
  return !message.startsWith("Too ");
}

function wrongType(expected: string, node: ConfigNode | undefined): string {
  const wanted = typeWords[expected] ?? expected;
  if (node === undefined) return `is missing; give ${wanted}`;
  const { value } = node;
  if (value === null) return `is empty; give ${wanted}`;
  const got = Array.isArray(value) ? "a list" : value instanceof Map ? "a map" : (typeWords[typeof value] ?? typeof value);
  if (expected === "string" && typeof value !== "object") return `must be text, not ${got}; put it in quotes`;
  return `must be ${wanted}, not ${got}`;
}
