/**
 * A real PostgreSQL server of its own for a test file: in a temporary directory, on a free loopback port. It does not sync to
 * disk: what it committed survives a kill, not the loss of power. The role that tests sign in with is no superuser, so row-level security holds for it.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, chownSync, constants, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import postgres from "postgres";

export interface PostgresServer {
  /** `postgres://dragoman:...@127.0.0.1:port/postgres`. */
  readonly url: string;
  readonly port: number;
  /** A new empty database on it. */
  createDatabase(): Promise<string>;
  /** As a superuser, whom row-level security does not hold. */
  administer<Result>(url: string, work: (sql: postgres.Sql) => Promise<Result>): Promise<Result>;
  start(): Promise<void>;
  /** Open connections are cut at once; what was committed stays. */
  stop(): Promise<void>;
  /** SIGKILL to every process of it. */
  kill(): Promise<void>;
  /** Stops answering without closing anything, and goes on. */
  freeze(): void;
  thaw(): void;
  /** Stops it and removes its directory. */
  remove(): Promise<void>;
}

/** Why there is no server to test with; undefined where there is. */
export function whyNoPostgres(): string | undefined {
  return findBinaries() === undefined ? "no PostgreSQL: neither on PATH nor in /usr/lib/postgresql/*/bin" : undefined;
}

const password = "test-of-the-stores";
const startTimeoutMs = 20_000;

/** Throws where there are no binaries: ask whyNoPostgres first. */
export async function startPostgresServer(): Promise<PostgresServer> {
  const binaries = findBinaries();
  if (binaries === undefined) throw new Error(whyNoPostgres());
  // The server refuses to run as root.
  const user = process.getuid?.() === 0 ? unprivileged() : undefined;
  const directory = mkdtempSync(join(tmpdir(), "dragoman-postgres-"));
  if (user !== undefined) chownSync(directory, user.uid, user.gid);
  const data = join(directory, "data");
  const options = { ...user, cwd: directory, env: { PATH: process.env.PATH, LC_ALL: "C" } };
  execFileSync(join(binaries, "initdb"), ["-D", data, "-U", "admin", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"], {
    ...options,
    stdio: "ignore",
  });
  const port = await freePort();
  const settings = ["fsync=off", "full_page_writes=off", "shared_buffers=16MB", "max_connections=60"];
  let server: ChildProcess | undefined;
  let databases = 0;
  const address = (role: string, database: string) => `postgres://${role}:${password}@127.0.0.1:${port}/${database}`;

  async function start(): Promise<void> {
    const words = [
      "-D",
      data,
      "-p",
      String(port),
      "-c",
      "listen_addresses=127.0.0.1",
      "-k",
      "",
      ...settings.flatMap((setting) => ["-c", setting]),
    ];
    server = spawn(join(binaries as string, "postgres"), words, { ...options, stdio: "ignore" });
    for (const deadline = Date.now() + startTimeoutMs; ; await sleep(30)) {
      try {
        await administer(address("admin", "postgres"), (sql) => sql`SELECT 1`);
        return;
      } catch (error) {
        if (Date.now() > deadline || server.exitCode !== null) throw error;
      }
    }
  }

  async function end(signal: NodeJS.Signals): Promise<void> {
    const running = server;
    if (running === undefined || running.exitCode !== null || running.signalCode !== null) return;
    const exited = once(running, "exit");
    if (signal === "SIGKILL") signalAll(signal);
    else running.kill(signal);
    await exited;
    server = undefined;
  }

  /** The postmaster and its children: each of them leads a process group of its own. */
  function signalAll(signal: NodeJS.Signals): void {
    const pid = server?.pid;
    if (pid === undefined) return;
    const listed = execFileSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" }).trim().split("\n");
    const children = listed.map((line) => line.trim().split(/\s+/).map(Number)).filter(([, parent]) => parent === pid);
    // The postmaster first: it starts no new ones.
    for (const target of [pid, ...children.map(([child]) => child ?? pid)]) signalOne(target, signal);
  }

  function signalOne(pid: number, signal: NodeJS.Signals): void {
    try {
      process.kill(pid, signal);
    } catch {
      // It ended by itself meanwhile.
    }
  }

  async function administer<Result>(url: string, work: (sql: postgres.Sql) => Promise<Result>): Promise<Result> {
    const target = new URL(url);
    target.username = "admin";
    const sql = postgres(target.href, { max: 1, onnotice: () => undefined, connect_timeout: 5 });
    try {
      return await work(sql);
    } finally {
      await sql.end({ timeout: 1 });
    }
  }

  await start();
  await administer(address("admin", "postgres"), (sql) => sql.unsafe(`CREATE ROLE dragoman LOGIN PASSWORD '${password}'`));

  return {
    url: address("dragoman", "postgres"),
    port,
    async createDatabase() {
      const name = `test_${++databases}`;
      await administer(address("admin", "postgres"), (sql) => sql.unsafe(`CREATE DATABASE ${name} OWNER dragoman`));
      return address("dragoman", name);
    },
    administer,
    start,
    stop: () => end("SIGINT"),
    kill: () => end("SIGKILL"),
    freeze: () => signalAll("SIGSTOP"),
    thaw: () => signalAll("SIGCONT"),
    async remove() {
      await end("SIGINT");
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** The directory that holds postgres and initdb. */
function findBinaries(): string | undefined {
  const installed = "/usr/lib/postgresql";
  const versions = isThere(installed) ? readdirSync(installed).sort((left, right) => Number(right) - Number(left)) : [];
  const places = [...(process.env.PATH ?? "").split(delimiter), ...versions.map((version) => join(installed, version, "bin"))];
  return places.find((place) => place !== "" && ["postgres", "initdb"].every((name) => isThere(join(place, name), constants.X_OK)));
}

function isThere(path: string, mode = constants.F_OK): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}

/** Some user who is not root and owns nothing: what `id` says of postgres or nobody. */
function unprivileged(): { uid: number; gid: number } {
  for (const name of ["postgres", "nobody"]) {
    try {
      const [uid, gid] = ["-u", "-g"].map((flag) => Number(execFileSync("id", [flag, name], { stdio: ["ignore", "pipe", "ignore"] })));
      if (uid && gid) return { uid, gid };
    } catch {
      // There is no such user; the next.
    }
  }
  return { uid: 65_534, gid: 65_534 };
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const address = probe.address();
  probe.close();
  await once(probe, "close");
  if (address === null || typeof address === "string") throw new Error("no free port");
  return address.port;
}
