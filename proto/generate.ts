/**
 * Generates gen/ from proto/: the TypeScript messages and services, and gen/dragoman.binpb, the descriptor set for
 * `buf curl --schema`. With --check nothing is written: exit 1 if gen/ is not what would be generated. Fails where an RPC
 * does not say who may call it.
 *
 *   npm run gen        npm run gen:check
 */
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { checkAuth } from "./check-auth.ts";

const root = join(import.meta.dirname, "..");
const buf = join(root, "node_modules/.bin/buf");
const target = join(root, "gen");

const scratch = mkdtempSync(join(tmpdir(), "dragoman-gen-"));
try {
  const made = join(scratch, "gen");
  execFileSync(buf, ["generate", "-o", scratch], { cwd: root, stdio: "inherit", env: withLocalBinaries() });
  execFileSync(buf, ["build", "--path", "proto/dragoman", "-o", join(made, "dragoman.binpb")], {
    cwd: root,
    stdio: "inherit",
  });
  checkAuth(join(made, "dragoman.binpb"));
  if (process.argv.includes("--check")) check(made);
  else {
    rmSync(target, { recursive: true, force: true });
    cpSync(made, target, { recursive: true });
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

/** buf finds protoc-gen-es on PATH; npm sets it, a bare `node proto/generate.ts` does not. */
function withLocalBinaries(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${join(root, "node_modules/.bin")}:${process.env.PATH ?? ""}` };
}

function check(made: string): void {
  const wanted = files(made);
  const found = existsSync(target) ? files(target) : [];
  const stale = wanted.filter((name) => !found.includes(name) || !same(join(made, name), join(target, name)));
  const extra = found.filter((name) => !wanted.includes(name));
  if (stale.length + extra.length === 0) return;
  for (const name of stale) console.error(`gen/${name} is stale or missing`);
  for (const name of extra) console.error(`gen/${name} is generated from nothing`);
  console.error("run: npm run gen");
  process.exitCode = 1;
}

function files(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .map((name) => relative(directory, join(directory, name)))
    .filter((name) => statSync(join(directory, name)).isFile())
    .sort();
}

function same(left: string, right: string): boolean {
  return readFileSync(left).equals(readFileSync(right));
}
