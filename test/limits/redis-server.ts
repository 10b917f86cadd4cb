/** A real redis-server on a socket of its own, for tests that stop, freeze and empty it. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Redis } from "ioredis";
import { Secret } from "../../src/core/secret.ts";

export const hasRedisServer = spawnSync("redis-server", ["--version"]).status === 0;
if (!hasRedisServer) console.log("skipped: tests with Redis, as there is no redis-server; apt-get install redis-server");

export interface RedisServer {
  readonly url: Secret;
  /** SIGKILL; what was in memory is lost. */
  kill(): Promise<void>;
  start(): Promise<void>;
  freeze(): void;
  thaw(): void;
  /** Runs a command on a connection of its own. */
  run(...command: [string, ...string[]]): Promise<unknown>;
  /** The same as somebody who knows the password. */
  runAs(password: string, ...command: [string, ...string[]]): Promise<unknown>;
  close(): Promise<void>;
}

export async function startRedis(): Promise<RedisServer> {
  const directory = mkdtempSync(join(tmpdir(), "dragoman-redis-"));
  const socket = join(directory, "redis.sock");
  let server: ChildProcess | undefined;
  const start = async (): Promise<void> => {
    rmSync(socket, { force: true });
    server = spawn("redis-server", ["--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--dir", directory]);
    for (let tries = 0; tries < 500 && !existsSync(socket); tries++) await pause(10);
  };
  const kill = async (): Promise<void> => {
    if (server === undefined || server.exitCode !== null || server.signalCode !== null) return;
    const gone = once(server, "exit");
    server.kill("SIGKILL");
    await gone;
  };
  const call = async (access: { password?: string }, command: [string, ...string[]]): Promise<unknown> => {
    const redis = new Redis(socket, { maxRetriesPerRequest: 1, ...access });
    redis.on("error", () => undefined);
    try {
      return await redis.call(...command);
    } finally {
      redis.disconnect();
    }
  };
  await start();
  return {
    url: new Secret(socket),
    start,
    kill,
    freeze: () => void server?.kill("SIGSTOP"),
    thaw: () => void server?.kill("SIGCONT"),
    run: (...command) => call({}, command),
    runAs: (password, ...command) => call({ password }, command),
    async close() {
      await kill();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
