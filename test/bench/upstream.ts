/** Builds and starts the upstream and the load: C where there is a compiler, else Node. */
import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { hasProgram, runProcess, startAndReadLine } from "./processes.ts";

/** A program with the arguments that come before its own. */
export interface Program {
  readonly command: string;
  readonly args: readonly string[];
}

export interface Tools {
  readonly upstream: Program;
  readonly load: Program;
  /** Why they are not C; undefined where they are. */
  readonly notNative: string | undefined;
}

export interface Upstream {
  readonly port: number;
  readonly process: ChildProcess;
}

const here = import.meta.dirname;

/** Compiles both into `directory`; gives the Node stand-ins where that is not possible. */
export async function buildTools(directory: string, forceNode: boolean): Promise<Tools> {
  const standIn = (notNative: string): Tools => ({
    upstream: { command: process.execPath, args: [join(here, "upstream-node.ts")] },
    load: { command: process.execPath, args: [join(here, "load-node.ts")] },
    notNative,
  });
  if (forceNode) return standIn("--node-tools was given");
  const compiler = ["gcc", "cc", "clang"].find(hasProgram);
  if (compiler === undefined) return standIn("there is no C compiler (gcc, cc or clang)");
  for (const name of ["upstream", "load"]) {
    const args = ["-O2", "-o", join(directory, name), join(here, `${name}.c`)];
    const { code, stderr } = await runProcess(compiler, args, { timeoutMs: 60_000 });
    if (code !== 0) return standIn(`${compiler} could not compile ${name}.c: ${stderr.trim().split("\n")[0]}`);
  }
  return {
    upstream: { command: join(directory, "upstream"), args: [] },
    load: { command: join(directory, "load"), args: [] },
    notNative: undefined,
  };
}

export async function startUpstream(tools: Tools, answers: string, core: number | undefined): Promise<Upstream> {
  const { command, args } = tools.upstream;
  const [child, line] = await startAndReadLine(command, [...args, answers], core, 10_000);
  return { port: Number(line.split(" ")[1]), process: child };
}
