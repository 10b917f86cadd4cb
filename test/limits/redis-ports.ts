/** Real Redis processes on loopback ports: a cluster of three, and a primary with a replica and sentinels. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { vi } from "vitest";

export const whyNoCluster = ["redis-server", "redis-cli"].find((program) => spawnSync(program, ["--version"]).status !== 0);
if (whyNoCluster !== undefined) console.log(`skipped: tests with a Redis Cluster and sentinels, as there is no ${whyNoCluster}`);

export interface RedisNode {
  readonly port: number;
  readonly process: ChildProcess;
  run(...command: [string, ...string[]]): Promise<unknown>;
}

export interface RedisNodes {
  readonly nodes: readonly RedisNode[];
  /** For REDIS_URL. */
  readonly url: string;
  close(): Promise<void>;
}

/** Three primaries that share the slots. */
export async function startRedisCluster(): Promise<RedisNodes> {
  const started = new Nodes();
  for (const port of await freePorts(3)) {
    await started.start(port, [
      "--cluster-enabled",
      "yes",
      "--cluster-node-timeout",
      "1000",
      "--cluster-config-file",
      `nodes-${port}.conf`,
    ]);
  }
  const addresses = started.nodes.map(({ port }) => `127.0.0.1:${port}`);
  const made = spawnSync("redis-cli", ["--cluster", "create", ...addresses, "--cluster-replicas", "0", "--cluster-yes"], {
    encoding: "utf8",
    timeout: 30_000,
  });
  if (made.status !== 0) throw new Error(`no cluster: ${made.stdout}${made.stderr}`);
  await vi.waitFor(
    async () => {
      for (const node of started.nodes)
        if (!String(await node.run("CLUSTER", "INFO")).includes("cluster_state:ok")) throw new Error("not yet");
    },
    { timeout: 20_000, interval: 50 },
  );
  return started.with(addresses.map((address) => `redis://${address}`).join(","));
}

/** A primary, a replica of it, and a sentinel that alone decides when the primary is dead. `nodes`: in that order. */
export async function startRedisSentinel(name: string): Promise<RedisNodes> {
  const started = new Nodes();
  const [primary = 0, replica = 0, sentinel = 0] = await freePorts(3);
  await started.start(primary, []);
  await started.start(replica, ["--replicaof", "127.0.0.1", String(primary)]);
  const file = join(started.directory, "sentinel.conf");
  const lines = [`monitor ${name} 127.0.0.1 ${primary} 1`, `down-after-milliseconds ${name} 300`, `failover-timeout ${name} 2000`];
  writeFileSync(file, `port ${sentinel}\nbind 127.0.0.1\ndir ${started.directory}\n${lines.map((line) => `sentinel ${line}\n`).join("")}`);
  await started.start(sentinel, undefined, file);
  const [, , watcher] = started.nodes;
  await vi.waitFor(
    async () => {
      const replicas = (await watcher?.run("SENTINEL", "replicas", name)) as unknown[];
      if (replicas.length !== 1) throw new Error("not yet");
    },
    { timeout: 20_000, interval: 50 },
  );
  return started.with(`redis://127.0.0.1:${sentinel}`);
}

class Nodes {
  readonly directory = mkdtempSync(join(tmpdir(), "dragoman-redis-"));
  readonly nodes: RedisNode[] = [];

  async start(port: number, more: readonly string[] | undefined, file?: string): Promise<void> {
    const bare = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", this.directory];
    const args = file === undefined ? [...bare, ...(more ?? [])] : [file, "--sentinel"];
    const child = spawn("redis-server", args, { stdio: "ignore" });
    const run: RedisNode["run"] = async (...command) => {
      const redis = new Redis(port, "127.0.0.1", { maxRetriesPerRequest: 0, retryStrategy: () => null, lazyConnect: true });
      redis.on("error", () => undefined);
      try {
        await redis.connect();
        return await redis.call(...command);
      } finally {
        redis.disconnect();
      }
    };
    this.nodes.push({ port, process: child, run });
    await vi.waitFor(() => run("PING"), { timeout: 20_000, interval: 20 });
  }

  with(url: string): RedisNodes {
    return {
      nodes: this.nodes,
      url,
      close: async () => {
        for (const { process: child } of this.nodes) {
          if (child.exitCode !== null || child.signalCode !== null) continue;
          const gone = once(child, "exit");
          child.kill("SIGKILL");
          await gone;
        }
        rmSync(this.directory, { recursive: true, force: true, maxRetries: 3 });
      },
    };
  }
}

/** Below 55536, as a cluster's nodes talk to each other 10 000 above their port. */
async function freePorts(count: number): Promise<number[]> {
  const found: number[] = [];
  for (let tries = 0; tries < 200 && found.length < count; tries++) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    if (!found.includes(port) && (await isFree(port)) && (await isFree(port + 10_000))) found.push(port);
  }
  return found;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
