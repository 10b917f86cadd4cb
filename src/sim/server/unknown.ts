import { type Issue, type JsonObject, pathText } from "../shape.ts";

/** In lenient mode unknown fields are no issue but something to echo: top-level ones by name, others by path. */
export function splitUnknown(issues: readonly Issue[], lenient: boolean): { rest: readonly Issue[]; unknown: JsonObject } {
  if (!lenient) return { rest: issues, unknown: {} };
  const unknown: JsonObject = {};
  const nested: JsonObject = {};
  for (const { kind, path, found } of issues) {
    if (kind !== "unknown") continue;
    if (path.length === 1) unknown[pathText(path)] = found;
    else nested[pathText(path)] = found;
  }
  if (Object.keys(nested).length > 0) unknown.sim_unknown_fields = nested;
  return { rest: issues.filter(({ kind }) => kind !== "unknown"), unknown };
}
