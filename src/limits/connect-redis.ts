/**
 * The connection to Redis: one server, a cluster, or whichever server sentinels say is the primary. Nothing is queued while
 * it is away and nothing is sent twice by the client. Lazy: nothing is connected before connect() is called.
 */
import { Cluster, Redis, type RedisOptions } from "ioredis";
import type { Secret } from "../core/secret.ts";

export interface RedisPlace {
  /** Addresses, separated by commas; may hold a password. */
  readonly url: Secret;
  /** Whether they are nodes of a cluster. */
  readonly cluster: boolean;
  /** The primary's name, where they are sentinels; empty: they are not. */
  readonly sentinel: string;
  /** Longest wait for an answer. */
  readonly commandTimeoutMs: number;
}

const connectTimeoutMs = 1_000;
/** A slot that moved is found with one redirection; a second may meet a migration. Further ones would only take time. */
const maxRedirections = 2;

export function createRedis({ url, cluster, sentinel, commandTimeoutMs }: RedisPlace): Redis | Cluster {
  const addresses = url
    .reveal()
    .split(",")
    .map((address) => address.trim());
  const options = {
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    commandTimeout: commandTimeoutMs,
    connectTimeout: connectTimeoutMs,
    lazyConnect: true,
    retryStrategy: waitBefore,
    // After a failover the old primary only reads.
    reconnectOnError: (error: Error) => error.message.startsWith("READONLY"),
  } satisfies RedisOptions;
  const [first = ""] = addresses;
  if (!cluster && sentinel === "") return new Redis(first, options);
  const nodes = addresses.map((address) => {
    const { hostname, port } = new URL(address);
    return { host: hostname.replace(/^\[|\]$/g, ""), port: port === "" ? (cluster ? 6_379 : 26_379) : Number(port) };
  });
  const access = readAccess(first);
  if (!cluster) {
    return new Redis({ ...options, ...access, sentinels: nodes, name: sentinel, sentinelRetryStrategy: waitBefore });
  }
  return new Cluster(nodes, {
    enableOfflineQueue: false,
    lazyConnect: true,
    maxRedirections,
    retryDelayOnFailover: 50,
    retryDelayOnClusterDown: 50,
    retryDelayOnTryAgain: 20,
    slotsRefreshTimeout: connectTimeoutMs,
    clusterRetryStrategy: waitBefore,
    redisOptions: { ...options, ...access },
  });
}

/** Milliseconds before the next try to connect. */
function waitBefore(attempt: number): number {
  return Math.min(50 * 2 ** Math.min(attempt, 8), 500);
}

/** The first address says how all servers are spoken to. */
function readAccess(address: string): Readonly<Pick<RedisOptions, "username" | "password" | "tls">> {
  const { username, password, protocol } = new URL(address);
  return {
    ...(username === "" ? {} : { username: decodeURIComponent(username) }),
    ...(password === "" ? {} : { password: decodeURIComponent(password) }),
    ...(protocol === "rediss:" ? { tls: {} } : {}),
  };
}
