/** Starts the processes of a bench, each on its core, and sees to it that none outlives the bench. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";

/** Cores by role: servers under test on one, load and upstream on the other. Undefined: not pinned, with the reason. */
export interface Cores {
  readonly server: number | undefined;
  readonly load: number | undefined;
  readonly notPinned: string | undefined;
}

export interface StartOptions {
  readonly core: number | undefined;
  /** The whole environment: nothing is inherited, so that no vendor key of the machine reaches a server. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** File that takes what the process says. */
  readonly logFile: string;
  /** Opens a channel for messages to and from a Node process. */
  readonly channel?: boolean;
}

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const alive = new Set<ChildProcess>();
let stopping = false;

/** What every process gets: enough to find programs, and nothing of the caller's keys or proxies. */
export function plainEnvironment(): Record<string, string> {
  const kept = ["PATH", "HOME", "LANG", "TMPDIR"];
  return Object.fromEntries(kept.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])));
}

/** Whether a program of this name can be started. */
export function hasProgram(name: string): boolean {
  try {
    execFileSync("sh", ["-c", `command -v ${name}`], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** The first two cores that this process may use. */
export function chooseCores(): Cores {
  const allowed = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "";
  const cores = allowed.split(",").flatMap((range) => {
    const [first = 0, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
  const [server, load] = cores;
  if (server === undefined || load === undefined) {
    return { server: undefined, load: undefined, notPinned: "only one core: servers, load and upstream share it" };
  }
  if (!hasProgram("taskset")) return { server: undefined, load: undefined, notPinned: "no taskset: processes move between cores" };
  return { server, load, notPinned: undefined };
}

function pinned(command: string, args: readonly string[], core: number | undefined): [string, string[]] {
  return core === undefined ? [command, [...args]] : ["taskset", ["-c", String(core), command, ...args]];
}

function track(child: ChildProcess): void {
  alive.add(child);
  child.once("exit", () => alive.delete(child));
  child.once("error", () => alive.delete(child));
  if (stopping) child.kill("SIGKILL");
}

/** Starts a process that runs until it is stopped. */
export function startProcess(command: string, args: readonly string[], options: StartOptions): ChildProcess {
  const log = openSync(options.logFile, "a");
  const [program, programArgs] = pinned(command, args, options.core);
  const child = spawn(program, programArgs, {
    stdio: options.channel ? ["ignore", log, log, "ipc"] : ["ignore", log, log],
    env: { ...(options.env ?? plainEnvironment()) },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  closeSync(log);
  track(child);
  return child;
}

/** Starts a process and waits for the first line that it prints. Throws where it ends or takes longer. */
export function startAndReadLine(
  command: string,
  args: readonly string[],
  core: number | undefined,
  timeoutMs: number,
): Promise<[ChildProcess, string]> {
  const [program, programArgs] = pinned(command, args, core);
  const child = spawn(program, programArgs, { stdio: ["ignore", "pipe", "inherit"], env: plainEnvironment() });
  track(child);
  return new Promise((resolve, reject) => {
    let text = "";
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new Error(`${command} printed nothing in ${timeoutMs} ms`));
    }, timeoutMs);
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`${command} ended with ${code}`)));
    child.stdout.setEncoding("utf8").on("data", (part: string) => {
      text += part;
      const end = text.indexOf("\n");
      if (end === -1) return;
      clearTimeout(timer);
      resolve([child, text.slice(0, end)]);
    });
  });
}

/** Runs a process to its end; kills it when that takes longer than `timeoutMs`, which gives code null. */
export function runProcess(
  command: string,
  args: readonly string[],
  options: { core?: number | undefined; timeoutMs: number; cwd?: string; env?: Record<string, string> },
): Promise<Finished> {
  const [program, programArgs] = pinned(command, args, options.core);
  const child = spawn(program, programArgs, {
    stdio: ["ignore", "pipe", "pipe"],
    env: options.env ?? plainEnvironment(),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  track(child);
  return new Promise((resolve, reject) => {
    let stdout = "";
    let stderr = "";
    const timer = setTimeout(() => child.kill("SIGKILL"), options.timeoutMs);
    child.stdout.setEncoding("utf8").on("data", (part: string) => (stdout += part));
    child.stderr.setEncoding("utf8").on("data", (part: string) => (stderr += part));
    child.once("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.once("close", (code) => {
      clearTimeout(timer);
      resolve({ code, stdout, stderr });
    });
  });
}

/** Ends everything that was started and still runs: asks, and after two seconds insists. */
export async function stopAll(): Promise<void> {
  stopping = true;
  const children = [...alive];
  const ended = children.map((child) => new Promise<void>((resolve) => child.once("exit", () => resolve())));
  for (const child of children) child.kill("SIGTERM");
  const insist = setTimeout(() => {
    for (const child of alive) child.kill("SIGKILL");
  }, 2000);
  await Promise.race([Promise.all(ended), new Promise((resolve) => setTimeout(resolve, 4000))]);
  clearTimeout(insist);
}

/** The last resort of a process that is about to exit. */
export function killAll(): void {
  stopping = true;
  for (const child of alive) child.kill("SIGKILL");
}
