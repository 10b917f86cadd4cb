/** What the environment and the command line say about the configuration. */

import { suggestion } from "../core/nearest.ts";
import { readListenAddress, writeListenAddress } from "./listen-address.ts";
import type { Problem } from "./problem.ts";
import { configSchema } from "./schema.ts";
import { fixedPathsOf, keysOf, schemaAt } from "./schema-shape.ts";
import { type ConfigMap, type ConfigNode, isConfigMap, nodeAt, overlay, type Path, treeOf } from "./tree.ts";

/** Flags that `serve` takes, as they were written. */
export interface ConfigFlags {
  readonly host?: string | undefined;
  readonly port?: string | undefined;
  readonly admin_host?: string | undefined;
  readonly admin_port?: string | undefined;
  readonly log_level?: string | undefined;
  readonly workers?: string | undefined;
}

/** Variables that set one field. Empty ones count as unset, but for the key: an empty key must not switch auth off. */
const plainVariables: readonly { readonly variable: string; readonly path: readonly string[]; readonly emptyCounts?: boolean }[] = [
  { variable: "LOG_LEVEL", path: ["log_level"] },
  { variable: "DRAGOMAN_DATA_DIR", path: ["data_dir"] },
  { variable: "DATABASE_URL", path: ["stores", "database_url"] },
  { variable: "REDIS_URL", path: ["redis", "url"] },
  { variable: "DRAGOMAN_API_KEY", path: ["auth", "api_key"], emptyCounts: true },
];

const prefix = "DRAGOMAN__";

interface Address {
  readonly field: "listen" | "listen_admin";
  readonly host: { readonly source: string; readonly text: string | undefined };
  readonly port: { readonly source: string; readonly text: string | undefined };
}

/** Sets HOST, PORT and their kin, then DRAGOMAN__SECTION__KEY, over the file's tree. */
export function applyEnvironment(tree: ConfigMap, env: NodeJS.ProcessEnv, cwd: string, problems: Problem[]): ConfigMap {
  let result = tree;
  for (const { variable, path, emptyCounts = false } of plainVariables) {
    const text = env[variable];
    if (text === undefined || (text === "" && !emptyCounts)) continue;
    result = set(result, path, treeOf(variable === "LOG_LEVEL" ? text.toLowerCase() : text, { source: variable }, cwd, true));
  }
  const from = (variable: string) => ({ source: variable, text: env[variable] });
  result = applyAddress(result, { field: "listen", host: from("HOST"), port: from("PORT") }, cwd, problems);
  result = applyAddress(result, { field: "listen_admin", host: from("ADMIN_HOST"), port: from("ADMIN_PORT") }, cwd, problems);
  const names = Object.keys(env).filter((name) => name.startsWith(prefix));
  for (const variable of names.sort()) {
    const path = pathOfVariable(variable, result, problems);
    if (path !== undefined) result = set(result, path, readVariable(env[variable] ?? "", variable, cwd, problems));
  }
  return result;
}

export function applyFlags(tree: ConfigMap, flags: ConfigFlags, cwd: string, problems: Problem[]): ConfigMap {
  let result = tree;
  if (flags.log_level !== undefined)
    result = set(result, ["log_level"], treeOf(flags.log_level.toLowerCase(), { source: "--log-level" }, cwd, true));
  if (flags.workers !== undefined)
    result = set(result, ["server", "workers"], treeOf(flags.workers.toLowerCase(), { source: "--workers" }, cwd, true));
  const host = { source: "--host", text: flags.host };
  result = applyAddress(result, { field: "listen", host, port: { source: "--port", text: flags.port } }, cwd, problems);
  const adminHost = { source: "--admin-host", text: flags.admin_host };
  return applyAddress(
    result,
    { field: "listen_admin", host: adminHost, port: { source: "--admin-port", text: flags.admin_port } },
    cwd,
    problems,
  );
}

/** Replaces the host or the port of an address and leaves the other half as it was. */
function applyAddress(tree: ConfigMap, { field, host, port }: Address, cwd: string, problems: Problem[]): ConfigMap {
  if (!host.text && !port.text) return tree;
  const path = ["server", field];
  if (port.text && !(/^\d{1,5}$/.test(port.text) && Number(port.text) <= 65_535)) {
    problems.push({ place: { source: port.source }, path, message: "is not a port; use a number from 0 to 65535" });
    return tree;
  }
  if (host.text && /[\s:/@[\]]/.test(host.text) && readListenAddress(`[${host.text}]:0`) === undefined) {
    problems.push({
      place: { source: host.source },
      path,
      message: "is not a host; give a name or an address without port, such as 0.0.0.0 or ::1",
    });
    return tree;
  }
  const written = nodeAt(tree, path)?.value;
  const before = typeof written === "string" ? readListenAddress(written) : configSchema.parse({}).server[field];
  // A wrong address in the file is a problem of its own; it is reported where it stands unless both halves are replaced.
  if (before === undefined && (!host.text || !port.text)) return tree;
  const address = { host: host.text || (before?.host ?? ""), port: port.text ? Number(port.text) : (before?.port ?? 0) };
  const sources = [host, port].filter(({ text }) => text).map(({ source }) => source);
  return set(tree, path, treeOf(writeListenAddress(address), { source: sources.join(" and ") }, cwd));
}

/** Segments are keys in any case; a name that is configured already is found without regard to its separators. */
function pathOfVariable(variable: string, tree: ConfigMap, problems: Problem[]): string[] | undefined {
  const segments = variable.slice(prefix.length).split("__");
  const path: string[] = [];
  for (const segment of segments) {
    const keys = keysOf(schemaAt(configSchema, path));
    const lower = segment.toLowerCase();
    if (keys.length > 0) {
      if (!keys.includes(lower)) {
        const known = fixedPathsOf(configSchema).map((fixed) => prefix + fixed.join("__").toUpperCase());
        problems.push({ place: { source: variable }, path: [], message: `sets no known field${suggestion(variable, known)}` });
        return undefined;
      }
      path.push(lower);
    } else {
      const here = nodeAt(tree, path);
      const names = isConfigMap(here) ? [...here.value.keys()] : [];
      path.push(names.find((name) => name.toLowerCase().replaceAll(/[-.]/g, "_") === lower) ?? lower);
    }
  }
  return path;
}

/** Text, or JSON where it begins like a list or a map. */
function readVariable(text: string, variable: string, cwd: string, problems: Problem[]): ConfigNode {
  const place = { source: variable };
  if (!/^\s*[[{]/.test(text)) return treeOf(text, place, cwd, true);
  try {
    return treeOf(JSON.parse(text), place, cwd);
  } catch {
    problems.push({ place, path: [], message: "begins like JSON but is not; write one JSON list or object" });
    return treeOf(null, place, cwd);
  }
}

function set(tree: ConfigMap, path: Path, node: ConfigNode): ConfigMap {
  const { place, directory } = node;
  const wrapped = path.reduceRight<ConfigNode>(
    (inner, key) => ({ value: new Map([[String(key), inner]]), place, keyPlace: place, directory }),
    { ...node, keyPlace: place },
  );
  const result = overlay(tree, wrapped);
  return isConfigMap(result) ? result : tree;
}
