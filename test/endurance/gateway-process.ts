/** The gateway as a process of its own, which may be killed. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface GatewayProcess {
  readonly pid: number;
  /** Data port. */
  readonly url: string;
  readonly adminUrl: string;
  /** Ends at once, as a power button would: nothing of the program runs any more. */
  kill(): Promise<void>;
  /** SIGTERM; gives the exit code. */
  stop(): Promise<number | null>;
}

const startMs = 60_000;
/** Half of a start is reading TypeScript, which an installed gateway has behind it. Node writes it when a gateway ends by itself. */
const compileCache = join(tmpdir(), "dragoman-compile-cache");

/** Rejects with what the program wrote where it does not start. Nothing of this process's keys reaches it. */
export async function startGatewayProcess(
  config: string,
  words: readonly string[] = [],
  nodeWords: readonly string[] = [],
): Promise<GatewayProcess> {
  const child = spawn(process.execPath, [...nodeWords, "src/main.ts", "serve", "--config", config, ...words], {
    cwd: join(import.meta.dirname, "../.."),
    env: {
      PATH: process.env.PATH ?? "",
      HOME: process.env.HOME ?? "/",
      NO_COLOR: "1",
      NODE_COMPILE_CACHE: compileCache,
      // How busy the test's machine is decides nothing here.
      DRAGOMAN__ADMISSION__OVERLOAD__EVENT_LOOP_MS: "0",
    },
  });
  let out = "";
  let err = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    // The end is what tells why it ended.
    err = (err + text).slice(-20_000);
  });
  const until = performance.now() + startMs;
  while (!out.includes("buf curl")) {
    if (child.exitCode !== null || performance.now() > until) {
      const state =
        child.exitCode === null ? `in ${startMs} ms, with ${cpuMsOf(child)} ms of a processor` : `and ends with ${child.exitCode}`;
      child.kill("SIGKILL");
      throw new Error(`the gateway does not start ${state}:\n${out}\n${err}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const [url = "", adminUrl = ""] = out.match(/http:\/\/127\.0\.0\.1:\d+/g) ?? [];
  return {
    pid: child.pid ?? 0,
    url,
    adminUrl,
    async kill() {
      child.kill("SIGKILL");
      await ended(child);
    },
    async stop() {
      child.kill("SIGTERM");
      await ended(child);
      return child.exitCode;
    },
  };
}

/** Of the program and its threads: tells one that hangs from one that never had its turn. Field 14 and 15 of proc(5) stat, in hundredths. */
function cpuMsOf({ pid }: ChildProcess): number {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return 10 * (Number(fields[11]) + Number(fields[12]));
  } catch {
    return Number.NaN;
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
}
