/**
 * The effective configuration: flags over environment over files over defaults. Everything that is wrong is found
 * before anything is thrown.
 */
import { accessSync, constants } from "node:fs";
import { resolve } from "node:path";
import { Secret } from "../core/secret.ts";
import { crossCheck, type KnownNames } from "./cross-check.ts";
import { applyEnvironment, applyFlags, type ConfigFlags } from "./environment.ts";
import { ConfigError, type Problem } from "./problem.ts";
import { readConfigFiles, systemCode } from "./read-file.ts";
import { resolveReferences } from "./reference.ts";
import { hasWayIn } from "./schema/auth.ts";
import { type Config, configSchema } from "./schema.ts";
import { schemaProblems } from "./schema-problems.ts";
import { namedMapsOf } from "./schema-shape.ts";
import { type ConfigMap, type ConfigNode, nodeAt, type Path, placeOf, plainOf } from "./tree.ts";

export interface LoadOptions {
  /** File or directory, relative to `cwd`; by default what DRAGOMAN_CONFIG names, else none. */
  readonly file?: string | undefined;
  readonly flags?: ConfigFlags;
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  /** What exists without being configured; names are not checked where it is left out. */
  readonly known?: KnownNames | undefined;
}

/** Frozen to its depths. Throws ConfigError with all problems. */
export function loadConfig({ file, flags = {}, env, cwd, known }: LoadOptions): Config {
  const problems: Problem[] = [];
  const path = file ?? (env.DRAGOMAN_CONFIG || undefined);
  const fromFile: ConfigMap =
    path === undefined
      ? { value: new Map(), place: { source: "" }, directory: cwd }
      : readConfigFiles(path, cwd, namedMapsOf(configSchema));
  const written = applyFlags(applyEnvironment(fromFile, env, cwd, problems), flags, cwd, problems);
  const unresolved: Problem[] = [];
  const tree = resolveReferences(written, configSchema, env, unresolved);
  const { data, issues } = check(tree);
  const isNew = (problem: Problem) => !unresolved.some((before) => samePath(before.path, problem.path));
  problems.push(...unresolved, ...schemaProblems(issues, tree, configSchema).filter(isNew));
  if (known !== undefined) problems.push(...crossCheck(tree, known).filter(isNew));
  if (data !== undefined) problems.push(...checkPorts(data), ...checkFiles(data, tree));
  if (problems.length > 0 || data === undefined) throw new ConfigError(inReadingOrder(problems));
  // Who names a directory, wants keys and has none in the configuration, or runs workers that share records, wants files;
  // others are left none.
  const wantsFiles = nodeAt(tree, ["data_dir"]) !== undefined || (data.auth.enabled && !hasWayIn(data.auth)) || data.server.workers !== 1;
  const named = wantsFiles && data.stores.database_url === undefined;
  const stores = data.stores.engine === "auto" && named ? { ...data.stores, engine: "sqlite" as const } : data.stores;
  return freeze({ ...data, stores, data_dir: resolve(cwd, data.data_dir) });
}

type Checked = ReturnType<typeof configSchema.safeParse>;
type Issues = NonNullable<Checked["error"]>["issues"];

/** Text of the environment takes the type its field wants: the schema says which, and is asked again. */
function check(tree: ConfigNode): { readonly data: Config | undefined; readonly issues: Issues } {
  const first = configSchema.safeParse(plainOf(tree));
  if (first.success) return { data: first.data, issues: [] };
  let changed = false;
  for (const issue of first.error.issues) {
    const node = issue.code === "invalid_type" ? nodeAt(tree, issue.path as Path) : undefined;
    const value = node === undefined || issue.code !== "invalid_type" ? undefined : adapt(node, issue.expected);
    if (node === undefined || value === undefined) continue;
    node.value = value;
    changed = true;
  }
  const second = changed ? configSchema.safeParse(plainOf(tree)) : first;
  return second.success ? { data: second.data, issues: [] } : { data: undefined, issues: second.error.issues };
}

function adapt(node: ConfigNode, expected: string): ConfigNode["value"] | undefined {
  const { value } = node;
  // `openai:` with nothing after it is a provider with its defaults.
  if (value === null && (expected === "object" || expected === "record")) return new Map();
  if (node.textual !== true || typeof value !== "string") return undefined;
  const text = value.trim();
  if ((expected === "number" || expected === "int") && /^-?\d+(?:\.\d+)?$/.test(text)) return Number(text);
  if (expected === "boolean" && /^(?:true|false)$/i.test(text)) return text.toLowerCase() === "true";
  if (expected !== "array") return undefined;
  const items = text === "" ? [] : text.split(",");
  return items.map((item) => ({ ...node, value: /^\d+$/.test(item.trim()) ? Number(item) : item.trim() }));
}

function checkPorts({ server, auth, stores }: Config): Problem[] {
  const problems: Problem[] = [];
  const { listen, listen_admin: admin, listen_health: health } = server;
  if (listen.port !== 0 && listen.port === admin.port && listen.host === admin.host) {
    problems.push({ path: ["server", "listen_admin"], message: "is the same address as server.listen; give the admin port another one" });
  }
  if (health !== undefined && health.port !== 0 && [listen, admin].some(({ host, port }) => port === health.port && host === health.host)) {
    problems.push({
      path: ["server", "listen_health"],
      message: "is the same address as another port's; give the health port one of its own",
    });
  }
  if (server.workers !== 1 && stores.engine === "memory") {
    problems.push({ path: ["stores", "engine"], message: "is memory, which workers do not share; use sqlite or postgres, or one worker" });
  }
  if (Object.keys(auth.mtls).length > 0 && server.tls?.client_ca_file === undefined) {
    problems.push({ path: ["auth", "mtls"], message: "needs server.tls.client_ca_file: without it nobody is asked for a certificate" });
  }
  return problems;
}

/** A file that is missing is told with everything else that is wrong, not one start later. */
function checkFiles({ server, auth }: Config, tree: ConfigNode): Problem[] {
  const named: readonly (readonly [Path, string | undefined])[] = [
    [["server", "tls", "cert_file"], server.tls?.cert_file],
    [["server", "tls", "key_file"], server.tls?.key_file],
    [["server", "tls", "client_ca_file"], server.tls?.client_ca_file],
    [["auth", "api_keys_file"], auth.api_keys_file],
  ];
  return named.flatMap(([path, file]) => {
    if (file === undefined) return [];
    try {
      accessSync(file, constants.R_OK);
      return [];
    } catch (error) {
      const message = `names a file that cannot be read (${systemCode(error)}); check the path and its permissions`;
      return [{ place: placeOf(tree, path, "value"), path, message }];
    }
  });
}

function inReadingOrder(problems: readonly Problem[]): Problem[] {
  return [...problems].sort((left, right) => {
    const [a, b] = [left.place, right.place];
    if (a === undefined || b === undefined || a.source !== b.source) return 0;
    return (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0);
  });
}

function samePath(left: Path, right: Path): boolean {
  return left.length === right.length && left.every((key, index) => key === right[index]);
}

function freeze<Value>(value: Value): Value {
  if (typeof value !== "object" || value === null || value instanceof Secret) return value;
  for (const member of Object.values(value)) freeze(member);
  return Object.freeze(value);
}
