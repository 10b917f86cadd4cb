/** Configuration files: YAML, JSON and TOML by extension, into trees that know lines and columns. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, extname, join, relative, resolve } from "node:path";
import { parse as parseToml, TomlError } from "smol-toml";
import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument } from "yaml";
import { JsonError, parseJson } from "../core/json.ts";
import { exitCodes } from "../core/start-error.ts";
import { ConfigError, type Problem } from "./problem.ts";
import { type ConfigMap, type ConfigNode, isConfigMap, mergeFiles, type Place, treeOf } from "./tree.ts";

const extensions = new Set([".yaml", ".yml", ".json", ".toml"]);

/** More values than this in one file is an alias bomb, not a configuration. */
const maxNodes = 200_000;

/**
 * A file, or a directory whose files are merged alphabetically. Throws ConfigError: exit code 74 where something cannot
 * be read, 78 with every syntax problem of every file otherwise.
 */
export function readConfigFiles(path: string, cwd: string, namedMaps: ReadonlySet<string>): ConfigMap {
  const trees: ConfigMap[] = [];
  const problems: Problem[] = [];
  for (const file of listFiles(resolve(cwd, path), cwd)) {
    const tree = readOne(file, cwd, problems);
    if (tree !== undefined) trees.push(tree);
  }
  if (problems.length > 0) throw new ConfigError(problems);
  const merged = mergeFiles(trees, namedMaps);
  if (merged !== undefined) return merged;
  throw new ConfigError([
    { place: { source: path }, path: [], message: "holds no configuration file; put a .yaml, .json or .toml file into the directory" },
  ]);
}

/** Hidden names are left out: a mounted ConfigMap keeps its old and new versions in them. */
function listFiles(path: string, cwd: string): string[] {
  try {
    if (!statSync(path).isDirectory()) return [path];
    return readdirSync(path)
      .filter((name) => !name.startsWith(".") && extensions.has(extname(name).toLowerCase()))
      .sort()
      .map((name) => join(path, name));
  } catch (error) {
    throw unreadable(path, cwd, error);
  }
}

function readOne(file: string, cwd: string, problems: Problem[]): ConfigMap | undefined {
  const source = shortPath(file, cwd);
  const extension = extname(file).toLowerCase();
  if (!extensions.has(extension)) {
    problems.push({ place: { source }, path: [], message: "is not a configuration file; name it .yaml, .yml, .json or .toml" });
    return undefined;
  }
  let text: string;
  try {
    text = readFileSync(file, "utf8").replace(/^\uFEFF/, "");
  } catch (error) {
    throw unreadable(file, cwd, error);
  }
  const before = problems.length;
  const tree =
    extension === ".toml" ? readToml(text, source, dirname(file), problems) : readYaml(text, source, dirname(file), extension, problems);
  if (problems.length > before) return undefined;
  if (tree.value === null) return { ...tree, value: new Map() };
  if (isConfigMap(tree)) {
    // Editors look for the schema under this key of JSON files.
    tree.value.delete("$schema");
    return tree;
  }
  problems.push({ place: tree.place, path: [], message: "is not a map of sections; begin with one such as `server:`" });
  return undefined;
}

/** JSON is checked by its own rules and then read as the YAML it also is, for lines and columns. Messages quote nothing: a line may hold a secret. */
function readYaml(text: string, source: string, directory: string, extension: string, problems: Problem[]): ConfigNode {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true, stringKeys: true });
  const at = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { source, line, column: col };
  };
  const report = (offset: number, message: string) => problems.push({ place: at(offset), path: [], message });
  if (extension === ".json" && text.trim() !== "") {
    try {
      parseJson(text);
    } catch (error) {
      if (!(error instanceof JsonError)) throw error;
      report(error.offset, `is not JSON: ${error.message}`);
      return { value: null, place: { source }, directory };
    }
  }
  for (const problem of [...document.errors, ...document.warnings])
    report(problem.pos[0], `is not valid YAML: ${firstLine(problem.message)}`);
  return problems.length > 0 ? { value: null, place: { source }, directory } : treeOfYaml(document, at, source, directory, report);
}

function treeOfYaml(
  document: Document,
  at: (offset: number) => Place,
  source: string,
  directory: string,
  report: (offset: number, message: string) => void,
): ConfigNode {
  let nodes = 0;
  const read = (node: unknown, place: Place, keyPlace: Place | undefined): ConfigNode => {
    const here = (value: ConfigNode["value"]): ConfigNode =>
      keyPlace === undefined ? { value, place, directory } : { value, place, keyPlace, directory };
    if (++nodes > maxNodes) {
      if (nodes === maxNodes + 1) report(0, `holds more than ${maxNodes} values; look for aliases that multiply`);
      return here(null);
    }
    if (isAlias(node)) {
      const target = node.resolve(document);
      return target === undefined ? here(null) : read(target, place, keyPlace);
    }
    if (isMap(node)) {
      const children = new Map<string, ConfigNode>();
      for (const pair of node.items) {
        const key = pair.key;
        if (!isScalar(key)) continue;
        const start = at(key.range?.[0] ?? 0);
        const value = pair.value as { range?: readonly number[] | null } | null;
        children.set(String(key.value), read(value, value?.range ? at(value.range[0] ?? 0) : start, start));
      }
      return here(children);
    }
    if (isSeq(node)) {
      return here(
        node.items.map((item) => {
          const start = (item as { range?: readonly number[] | null } | null)?.range?.[0];
          return read(item, start === undefined ? place : at(start), undefined);
        }),
      );
    }
    const value = isScalar(node) ? node.value : null;
    return here(typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? value : null);
  };
  return read(document.contents, { source }, undefined);
}

/** The TOML parser gives no positions of values: problems in them name the file and the path. */
function readToml(text: string, source: string, directory: string, problems: Problem[]): ConfigNode {
  try {
    return treeOf(parseToml(text), { source }, directory);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    problems.push({
      place: { source, line: error.line, column: error.column },
      path: [],
      message: `is not valid TOML: ${firstLine(error.message).replace(/^Invalid TOML document: /, "")}`,
    });
    return { value: null, place: { source }, directory };
  }
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0] ?? "";
}

/** A path as people would write it: from where they stand, if it is below. */
function shortPath(file: string, cwd: string): string {
  const short = relative(cwd, file);
  return short === "" ? basename(file) : short.startsWith("..") ? file : short;
}

function unreadable(path: string, cwd: string, error: unknown): ConfigError {
  const place = { source: shortPath(path, cwd) };
  return new ConfigError(
    [{ place, path: [], message: `cannot be read (${systemCode(error)}); check the path and its permissions` }],
    exitCodes.io,
  );
}

/** `ENOENT` and its kin, in words where they are common. */
export function systemCode(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "unknown error";
  const words: Record<string, string> = { ENOENT: "it does not exist", EACCES: "permission denied", EISDIR: "it is a directory" };
  return words[code] ?? code;
}
