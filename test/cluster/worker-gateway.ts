/** The program with several workers, as processes of this machine, and plain clients for it. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

const main = new URL("../../src/main.ts", import.meta.url).pathname;

export interface LogLine {
  readonly msg: string;
  readonly pid: number;
  readonly level: string;
  readonly worker?: number;
  readonly worker_pid?: number;
  readonly after_ms?: number;
  readonly reason?: string;
  readonly [field: string]: unknown;
}

export interface WorkerGateway {
  readonly primary: ChildProcess;
  readonly url: string;
  readonly adminUrl: string;
  out(): string;
  errorText(): string;
  lines(): LogLine[];
  /** Process ids of those that serve now, by their number. */
  workers(): Map<number, number>;
  /** Exit code and signal of the primary. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: string | null }>;
  /** Ends everything that is left of it. */
  close(): void;
}

export interface StartOptions {
  readonly workers?: number | "auto";
  readonly config?: { readonly server?: object; readonly [section: string]: unknown };
  /** Whether to return before it serves. */
  readonly unready?: boolean;
}

export async function startWorkers({ workers = 2, config = {}, unready = false }: StartOptions = {}): Promise<WorkerGateway> {
  const directory = mkdtempSync(join(tmpdir(), "dragoman-cluster-"));
  const { server = {}, ...rest } = config;
  const file = join(directory, "dragoman.json");
  const ports = { listen: "127.0.0.1:0", listen_admin: "127.0.0.1:0" };
  writeFileSync(
    file,
    JSON.stringify({
      server: { ...ports, drain_notice_seconds: 0.2, drain_seconds: 20, ...server },
      discovery: { enabled: false },
      local_embeddings: { enabled: false },
      // How busy the test's machine is decides nothing here.
      admission: { overload: { event_loop_ms: 0 } },
      data_dir: join(directory, "data"),
      ...rest,
    }),
  );
  const primary = spawn(process.execPath, [main, "serve", "--config", file, "--workers", String(workers)], {
    env: { PATH: process.env.PATH },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let out = "";
  let error = "";
  primary.stdout.on("data", (piece) => (out += piece));
  primary.stderr.on("data", (piece) => (error += piece));
  const ended = new Promise<{ code: number | null; signal: string | null }>((resolve) =>
    primary.once("exit", (code, signal) => resolve({ code, signal })),
  );
  const gateway: WorkerGateway = {
    primary,
    get url() {
      return /data {3}(http:\S+)/.exec(out)?.[1] ?? "";
    },
    get adminUrl() {
      return /admin {2}(http:\S+)/.exec(out)?.[1] ?? "";
    },
    out: () => out,
    errorText: () => error,
    lines,
    workers() {
      const serving = new Map<number, number>();
      for (const { msg, worker, worker_pid: pid } of lines()) {
        if (worker === undefined || pid === undefined) continue;
        if (msg === "a worker serves") serving.set(worker, pid);
        else if (serving.get(worker) === pid) serving.delete(worker);
      }
      return serving;
    },
    ended,
    close() {
      const processes = lines().flatMap(({ worker_pid: pid }) => (pid === undefined ? [] : [pid]));
      if (primary.exitCode === null && primary.signalCode === null) primary.kill("SIGKILL");
      for (const pid of new Set(processes)) if (isAlive(pid)) process.kill(pid, "SIGKILL");
      rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
    },
  };
  if (unready) return gateway;
  try {
    await until(
      () => out.includes("try it") || primary.exitCode !== null,
      () => `it did not start: ${error}`,
    );
    if (primary.exitCode !== null) throw new Error(`it did not start: ${error}`);
  } catch (thrown) {
    gateway.close();
    throw thrown;
  }
  return gateway;

  function lines(): LogLine[] {
    return error.split("\n").flatMap((line) => (line.startsWith("{") && line.endsWith("}") ? [JSON.parse(line) as LogLine] : []));
  }
}

/** Patient: on a busy machine a process takes many seconds to start. */
export async function until(fact: () => boolean | Promise<boolean>, describe = () => "it did not come to that"): Promise<void> {
  const end = performance.now() + 60_000;
  while (!(await fact())) {
    if (performance.now() > end) throw new Error(describe());
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

export interface Reply {
  /** 0 where the connection broke before an answer. */
  readonly status: number;
  readonly body: string;
  readonly headers: http.IncomingHttpHeaders;
  /** Why the connection broke. */
  readonly error?: string;
}

export interface Asking {
  /** Resolves with what came, whole or not; never rejects. */
  readonly reply: Promise<Reply>;
  /** What came until now. */
  sofar(): string;
}

/** One chat call; without an agent on a connection of its own. */
export function ask(url: string, text: string, { stream = false, agent }: { stream?: boolean; agent?: http.Agent } = {}): Asking {
  const body = JSON.stringify({ model: "sim/script", stream, messages: [{ role: "user", content: text }] });
  let sofar = "";
  const reply = new Promise<Reply>((resolve) => {
    const request = http.request(`${url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", "content-length": Buffer.byteLength(body) },
      agent: agent ?? false,
    });
    request.on("error", (error) => resolve({ status: 0, body: sofar, headers: {}, error: error.message }));
    request.on("response", (response) => {
      const { statusCode: status = 0, headers } = response;
      response.setEncoding("utf8");
      response.on("data", (piece) => (sofar += piece));
      response.on("error", (error) => resolve({ status, body: sofar, headers, error: error.message }));
      response.on("end", () => resolve({ status, body: sofar, headers }));
    });
    request.end(body);
  });
  return { reply, sofar: () => sofar };
}

/** As long as one delta, so that they can be found in a stream as they are. */
export const first = "abcd";
export const last = "wxyz";

/** What the model says, with a pause in its middle. */
export function slowScript(delayMs: number): string {
  return JSON.stringify({ sim_script: { steps: [{ text: first }, { delay_ms: delayMs }, { text: last }] } });
}

export const quickScript = JSON.stringify({ sim_script: { steps: [{ text: "at once" }] } });
