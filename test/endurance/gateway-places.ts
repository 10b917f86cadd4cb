/** Gateways as limits meet them: one process, workers of one machine, processes that share a Redis. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startSim } from "../../src/sim/server/start-sim.ts";
import { hasRedisServer, startRedis } from "../limits/redis-server.ts";
import { type GatewayProcess, startGatewayProcess } from "./gateway-process.ts";

export const places = ["one process", "two workers", "two processes, one Redis"] as const;
export type Place = (typeof places)[number];

export interface GatewayPlace {
  /** Data ports that calls are spread over. */
  readonly urls: readonly string[];
  readonly adminUrl: string;
  close(): Promise<void>;
}

/** Undefined where the machine has no redis-server and the place needs one. */
export async function startPlace(place: Place, rules: readonly object[]): Promise<GatewayPlace | undefined> {
  const sharesRedis = place === "two processes, one Redis";
  if (sharesRedis && !hasRedisServer) return undefined;
  const directory = mkdtempSync(join(tmpdir(), "dragoman-place-"));
  const sim = await startSim({ port: 0 });
  const redis = sharesRedis ? await startRedis() : undefined;
  const gateways: GatewayProcess[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(gateways.map((gateway) => gateway.stop()));
    await redis?.close();
    await sim.close();
    rmSync(directory, { recursive: true, force: true });
  };
  const start = async (name: string, words: readonly string[]): Promise<void> => {
    const file = join(directory, `${name}.json`);
    const config = {
      server: { listen: "127.0.0.1:0", listen_admin: "127.0.0.1:0", drain_notice_seconds: 0, drain_seconds: 5 },
      data_dir: join(directory, name),
      stores: { engine: "sqlite" },
      ledger: { reserve_bytes: 0 },
      discovery: { enabled: false },
      local_embeddings: { enabled: false },
      log_level: "error",
      providers: { chat: { type: "openai", base_url: `${sim.url}/v1`, api_key: "sk-place-0001" } },
      limits: { rules, machines: sharesRedis ? 2 : 1 },
      // A busy machine's event loop may stand still for longer than a network would.
      ...(redis === undefined ? {} : { redis: { url: redis.url.reveal(), command_timeout_ms: 500 } }),
    };
    writeFileSync(file, JSON.stringify(config));
    gateways.push(await startGatewayProcess(file, words));
  };
  try {
    await start("first", place === "two workers" ? ["--workers", "2"] : []);
    if (sharesRedis) await start("second", []);
  } catch (error) {
    await close();
    throw error;
  }
  return { urls: gateways.map(({ url }) => url), adminUrl: gateways[0]?.adminUrl ?? "", close };
}
