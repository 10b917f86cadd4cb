/** References in values: `${NAME}`, `${NAME:-default}`, `file:/path` of secrets, and paths relative to their file. */
import { readFileSync, statSync } from "node:fs";
import { isAbsolute, resolve } from "node:path";
import type { z } from "zod";
import { fieldKinds } from "./field.ts";
import type { Problem } from "./problem.ts";
import { systemCode } from "./read-file.ts";
import { childSchema } from "./schema-shape.ts";
import { type ConfigNode, isConfigMap, type Path } from "./tree.ts";

/** A key is short; a bigger file is the wrong one. */
const maxSecretBytes = 65_536;

/**
 * The tree with every reference followed. What cannot be followed is reported and becomes `unresolved`, so that it is
 * not reported a second time as a wrong value.
 */
export function resolveReferences(root: ConfigNode, schema: z.ZodType, env: NodeJS.ProcessEnv, problems: Problem[]): ConfigNode {
  const visit = (node: ConfigNode, at: z.ZodType | undefined, path: Path): ConfigNode => {
    if (isConfigMap(node)) {
      return { ...node, value: new Map([...node.value].map(([key, child]) => [key, visit(child, childSchema(at, key), [...path, key])])) };
    }
    if (Array.isArray(node.value))
      return { ...node, value: node.value.map((item, index) => visit(item, childSchema(at, index), [...path, index])) };
    if (typeof node.value !== "string") return node;
    const report = (message: string) => problems.push({ place: node.place, path, message });
    const expanded = expandVariables(node.value, env, report);
    if (expanded === undefined) return { ...node, value: null };
    const textual = node.textual === true || expanded !== node.value;
    const kind = at === undefined ? undefined : fieldKinds.get(at)?.kind;
    if (kind === "secret" && expanded.startsWith("file:")) {
      return { ...node, value: readSecretFile(resolve(node.directory, expanded.slice("file:".length)), report) ?? null };
    }
    if (kind === "path" && expanded !== "" && !isAbsolute(expanded)) return { ...node, value: resolve(node.directory, expanded) };
    return { ...node, value: expanded, textual };
  };
  return visit(root, schema, []);
}

/** `$${` stands for `${` itself. Undefined where a variable is missing. */
function expandVariables(text: string, env: NodeJS.ProcessEnv, report: (message: string) => void): string | undefined {
  let missing = false;
  const expanded = text.replaceAll(/\$\$\{|\$\{([^}]*)\}/g, (whole: string, inside: string | undefined) => {
    if (inside === undefined) return "${";
    const reference = /^([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$/s.exec(inside);
    if (reference === null) {
      missing = true;
      report(`holds a reference that is not \${NAME} or \${NAME:-default}; write $\${ for a literal \${`);
      return whole;
    }
    const [, name = "", fallback] = reference;
    const value = env[name];
    if (value !== undefined && (value !== "" || fallback === undefined)) return value;
    if (fallback !== undefined) return fallback;
    missing = true;
    report(`names the environment variable ${name}, which is not set; set it, or give a default as in \${${name}:-default}`);
    return whole;
  });
  return missing ? undefined : expanded;
}

function readSecretFile(path: string, report: (message: string) => void): string | undefined {
  try {
    const { size } = statSync(path);
    if (size > maxSecretBytes) {
      report(`names a file of more than ${maxSecretBytes} bytes; a secret is shorter`);
      return undefined;
    }
    return readFileSync(path, "utf8").replace(/\r?\n$/, "");
  } catch (error) {
    report(`names a file that cannot be read (${systemCode(error)}); check the path and its permissions`);
    return undefined;
  }
}
