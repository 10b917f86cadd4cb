/** Reads what a process has cost from /proc, and from the processor's counters where there are any. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

export interface CpuTime {
  /** Microseconds on a core. */
  readonly running: number;
  /** Microseconds ready to run while something else had the core. */
  readonly waiting: number;
  /** Clock ticks in user mode and in the kernel: coarse, good for the share of one in both. */
  readonly userTicks: number;
  readonly kernelTicks: number;
}

export interface Memory {
  /** Resident now, MiB. */
  readonly resident: number;
  /** Most that was ever resident, MiB. */
  readonly peak: number;
}

export interface Instructions {
  readonly user: number;
  readonly kernel: number;
}

/** A process and all its descendants. */
export function processTree(pid: number): number[] {
  const children = readTasks(pid).flatMap((task) => {
    const text = readOrEmpty(`/proc/${pid}/task/${task}/children`);
    return text.split(" ").filter(Boolean).map(Number);
  });
  return [pid, ...children.flatMap(processTree)];
}

/** Time of all threads of the processes, since each began. */
export function cpuTime(pids: readonly number[]): CpuTime {
  let running = 0;
  let waiting = 0;
  let userTicks = 0;
  let kernelTicks = 0;
  for (const pid of pids) {
    // After the name in parentheses, which may hold anything: fields 14 and 15 of proc(5) are the 12th and 13th.
    const fields = readOrEmpty(`/proc/${pid}/stat`).split(") ").at(-1)?.split(" ") ?? [];
    userTicks += Number(fields[11] ?? 0);
    kernelTicks += Number(fields[12] ?? 0);
    for (const task of readTasks(pid)) {
      const [run = 0, wait = 0] = readOrEmpty(`/proc/${pid}/task/${task}/schedstat`).split(" ").map(Number);
      running += run / 1000;
      waiting += wait / 1000;
    }
  }
  return { running, waiting, userTicks, kernelTicks };
}

export function memory(pids: readonly number[]): Memory {
  let resident = 0;
  let peak = 0;
  for (const pid of pids) {
    const status = readOrEmpty(`/proc/${pid}/status`);
    resident += Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1024;
    peak += Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1024;
  }
  return { resident, peak };
}

/** Why instructions cannot be counted here; undefined where they can. */
export function noCounters(): string | undefined {
  const { error, stderr } = spawnSync("perf", ["stat", "-x,", "-e", "instructions:u,instructions:k", "true"], { encoding: "utf8" });
  if (error !== undefined) return "perf is not installed";
  if (stderr.includes("<not supported>")) return "this machine has no instruction counters";
  const { user, kernel } = readCounters(stderr);
  return user > 0 && kernel > 0 ? undefined : "perf may not count here (kernel.perf_event_paranoid)";
}

/** Counts the instructions of processes until the returned function is called. Attaching takes a moment, hence a promise. */
export async function countInstructions(pids: readonly number[]): Promise<() => Promise<Instructions>> {
  const perf: ChildProcess = spawn("perf", ["stat", "-x,", "-e", "instructions:u,instructions:k", "-p", pids.join(",")], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  perf.stderr?.setEncoding("utf8").on("data", (part: string) => (said += part));
  const ended = new Promise<void>((resolve) => {
    perf.once("close", () => resolve());
    perf.once("error", () => resolve());
  });
  await sleep(300);
  return async () => {
    perf.kill("SIGINT");
    await ended;
    return readCounters(said);
  };
}

/** Reads what `perf stat -x,` says: value, unit, event, ... a line. */
export function readCounters(said: string): Instructions {
  const value = (event: string) =>
    said.split("\n").reduce((sum, line) => {
      const fields = line.split(",");
      return fields[2]?.startsWith(event) ? sum + (Number(fields[0]) || 0) : sum;
    }, 0);
  return { user: value("instructions:u"), kernel: value("instructions:k") };
}

/** Undefined for no values. */
export function median(values: readonly number[]): number | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted[sorted.length >> 1];
  if (middle === undefined || sorted.length % 2 === 1) return middle;
  return (middle + (sorted[(sorted.length >> 1) - 1] ?? middle)) / 2;
}

function readTasks(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

/** A thread may end between being listed and being read. */
function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
