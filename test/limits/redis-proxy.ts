/** Between a process and Redis: loses replies whose script has run, and holds replies back. */
import { mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Secret } from "../../src/core/secret.ts";

export interface RedisProxy {
  readonly url: Secret;
  /** The next reply is read, lost, and the connection cut. */
  loseReply(): void;
  /** Replies that were lost so far. */
  readonly lost: number;
  /** How long each reply is held back from here on, in milliseconds; their order stays. */
  delay: () => number;
  close(): Promise<void>;
}

export async function startRedisProxy(target: Secret): Promise<RedisProxy> {
  const directory = mkdtempSync(join(tmpdir(), "dragoman-redis-proxy-"));
  const path = join(directory, "proxy.sock");
  const sockets = new Set<net.Socket>();
  let losing = false;
  let lost = 0;
  const server = net.createServer((client) => {
    const redis = net.connect(target.reveal());
    const cut = (): void => {
      client.destroy();
      redis.destroy();
    };
    for (const socket of [client, redis]) {
      sockets.add(socket);
      socket.on("error", cut).on("close", () => {
        sockets.delete(socket);
        cut();
      });
    }
    client.on("data", (bytes) => redis.write(bytes));
    let sent: Promise<unknown> = Promise.resolve();
    redis.on("data", (bytes) => {
      if (losing) {
        losing = false;
        lost++;
        cut();
        return;
      }
      const ms = proxy.delay();
      sent = ms === 0 ? sent.then(() => client.write(bytes)) : Promise.all([sent, pause(ms)]).then(() => client.write(bytes));
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const proxy: RedisProxy = {
    url: new Secret(path),
    loseReply: () => {
      losing = true;
    },
    get lost() {
      return lost;
    },
    delay: () => 0,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
      rmSync(directory, { recursive: true, force: true });
    },
  };
  return proxy;
}
