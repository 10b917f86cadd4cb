import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { describe, expect, test } from "vitest";

/** Who may import whom: design.md section 2. A folder may always import from itself unless `never` says otherwise. */
const allowed: Record<string, readonly string[]> = {
  core: ["gen"],
  codecs: ["core", "gen"],
  providers: ["core", "codecs", "gen"],
  routing: ["core", "gen"],
  policy: ["core", "gen"],
  access: ["core", "gen"],
  ledger: ["core", "gen"],
  limits: ["core", "gen"],
  prices: ["core", "gen"],
  redaction: ["core", "gen"],
  "request-log": ["core", "gen"],
  stores: ["core", "gen"],
  telemetry: ["core", "gen"],
  cluster: ["core"],
  overload: ["core"],
  config: ["core", "gen"],
  pipeline: ["core", "gen"],
  rpc: ["core", "pipeline", "access", "policy", "ledger", "prices", "request-log", "routing", "config", "gen"],
  facade: ["core", "codecs", "pipeline", "gen"],
  relay: ["core", "pipeline", "gen"],
  server: ["core", "rpc", "facade", "relay", "gen"],
  sim: ["core", "gen"],
  cli: ["core", "cluster", "config", "overload", "telemetry", "sim", "app", "version", "gen"],
  app: ["*"],
  main: ["cli"],
  version: [],
};

const root = resolve(import.meta.dirname, "..");
const source = join(root, "src");

interface Import {
  readonly from: string;
  readonly to: string;
}

const files = readdirSync(source, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .map((name) => join(source, name));

const imports: Import[] = files.flatMap((file) => {
  const text = readFileSync(file, "utf8");
  const targets = [...text.matchAll(/(?:from|import\()\s*"(\.[^"]+)"/g)].map((match) => resolve(dirname(file), match[1] as string));
  return targets.map((to) => ({ from: file, to }));
});

/** `core`, `codecs`, ..., `gen`, or the name of a file directly under src. */
function layerOf(file: string): string {
  const inSource = relative(source, file);
  if (inSource.startsWith("..")) return relative(root, file).split("/")[0] as string;
  return (inSource.split("/")[0] as string).replace(/\.ts$/, "");
}

function name({ from, to }: Import): string {
  return `${relative(root, from)} imports ${relative(root, to)}`;
}

describe("architecture", () => {
  test("every folder imports only what its layer may see", () => {
    const wrong = imports.filter(({ from, to }) => {
      const layer = layerOf(from);
      const may = allowed[layer];
      return layerOf(to) !== layer && may?.[0] !== "*" && !may?.includes(layerOf(to));
    });
    expect(wrong.map(name)).toEqual([]);
  });

  test("no codec imports another codec", () => {
    const codecOf = (file: string) => /\/src\/codecs\/([^/]+)\//.exec(file)?.[1];
    const wrong = imports.filter(({ from, to }) => {
      const [mine, theirs] = [codecOf(from), codecOf(to)];
      return mine !== undefined && theirs !== undefined && mine !== theirs;
    });
    expect(wrong.map(name)).toEqual([]);
  });

  test("the stand-alone simulator shares no code with codecs and providers", () => {
    const wrong = imports.filter(({ from, to }) => layerOf(from) === "sim" && ["codecs", "providers"].includes(layerOf(to)));
    expect(wrong.map(name)).toEqual([]);
  });

  test("there are no import cycles", () => {
    const graph = new Map<string, string[]>();
    for (const { from, to } of imports) graph.set(from, [...(graph.get(from) ?? []), to]);
    const done = new Set<string>();
    const cycles: string[] = [];
    const visit = (file: string, trail: readonly string[]): void => {
      if (trail.includes(file)) {
        cycles.push([...trail.slice(trail.indexOf(file)), file].map((step) => relative(source, step)).join(" -> "));
        return;
      }
      if (done.has(file)) return;
      for (const next of graph.get(file) ?? []) visit(next, [...trail, file]);
      done.add(file);
    };
    for (const file of files) visit(file, []);
    expect(cycles).toEqual([]);
  });

  test("X2: nothing that answers a call can start a program or make code; only workers are started", () => {
    const starters = files.filter((file) =>
      /"(?:node:)?(?:child_process|cluster|vm)"|\beval\(|\bnew Function\(/.test(readFileSync(file, "utf8")),
    );
    expect(starters.map((file) => relative(source, file))).toEqual(["cluster/worker-process.ts"]);
    const callers = imports.filter(({ to }) => to.endsWith("cluster/worker-process.ts")).map(({ from }) => relative(source, from));
    expect([...new Set(callers)].filter((file) => !file.startsWith("cluster/") && !file.startsWith("cli/"))).toEqual([]);
  });

  test("only the pump writes to a client's response", () => {
    const writers = files.filter((file) => layerOf(file) === "facade" && /response[^\n]*\.write\(/.test(readFileSync(file, "utf8")));
    expect(writers.map((file) => relative(source, file))).toEqual(["facade/pump.ts"]);
  });
});
