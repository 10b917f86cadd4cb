/**
 * Counters in Redis, for all replicas. One script takes all counters of a call or none, in one round trip. Nothing waits
 * longer than the command's time, nothing is queued while Redis is away, nothing is sent twice by the client: scripts that
 * are repeated carry the operation's name and count once.
 */
import { Redis, type Result } from "ioredis";
import type { Clock } from "../core/clock.ts";
import type { Secret } from "../core/secret.ts";
import type { Counter, CounterLevel, Settlement, Take, TakeReply } from "./limit-state.ts";
import { renewScript, resetScript, settleScript, takeScript } from "./redis-scripts.ts";

declare module "ioredis" {
  interface RedisCommander<Context> {
    dragomanLimitTake(keys: number, ...args: (string | number)[]): Result<number[], Context>;
    dragomanLimitSettle(keys: number, ...args: (string | number)[]): Result<number, Context>;
    dragomanLimitRenew(keys: number, ...args: (string | number)[]): Result<number, Context>;
    dragomanLimitReset(keys: number, ...args: (string | number)[]): Result<number, Context>;
  }
}

export interface RedisCountersOptions {
  /** May hold a password. */
  readonly url: Secret;
  /** Longest wait for an answer. */
  readonly commandTimeoutMs: number;
  readonly clock: Clock;
}

/** A slot that nobody renews is free after this: the process that held it is dead. */
const slotHoldMs = 60_000;
const renewEveryMs = 20_000;
/** How long an operation is remembered, so that one that was cut off counts once. */
const rememberMs = 600_000;
const verdicts = ["taken", "refused", "unseeded"] as const;

export class RedisCounters {
  readonly #redis: Redis;
  readonly #clock: Clock;
  /** How far Redis's clock is ahead of ours, in milliseconds. */
  #offset = 0;
  /** Slots that this process holds: the operations by key. */
  readonly #slots = new Map<string, Set<string>>();
  readonly #renewing: NodeJS.Timeout;

  constructor({ url, commandTimeoutMs, clock }: RedisCountersOptions) {
    this.#clock = clock;
    const redis = new Redis(url.reveal(), {
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      commandTimeout: commandTimeoutMs,
      connectTimeout: 1_000,
      lazyConnect: true,
      retryStrategy: (attempt) => Math.min(50 * 2 ** Math.min(attempt, 8), 500),
      // After a failover the old primary only reads.
      reconnectOnError: (error) => error.message.startsWith("READONLY"),
    });
    // Without a listener ioredis throws; what is away is told by whoever uses this.
    redis.on("error", () => undefined);
    redis.defineCommand("dragomanLimitTake", { lua: takeScript });
    redis.defineCommand("dragomanLimitSettle", { lua: settleScript });
    redis.defineCommand("dragomanLimitRenew", { lua: renewScript });
    redis.defineCommand("dragomanLimitReset", { lua: resetScript });
    this.#redis = redis;
    this.#renewing = setInterval(() => void this.#renew(), renewEveryMs);
    this.#renewing.unref();
  }

  /** Resolves to whether Redis answered; it is tried again and again where it did not. */
  async connect(): Promise<boolean> {
    try {
      await this.#redis.connect();
      return await this.answers();
    } catch {
      return false;
    }
  }

  /** Milliseconds since 1970 by Redis's clock. */
  wall(): number {
    return this.#clock.wall() + this.#offset;
  }

  /** Whether Redis answers now. Never rejects. */
  async answers(): Promise<boolean> {
    if (this.#redis.status !== "ready") return false;
    try {
      await this.#redis.ping();
      return true;
    } catch {
      return false;
    }
  }

  /** Whether there is a connection that a command could be sent on. */
  get connected(): boolean {
    return this.#redis.status === "ready";
  }

  /** Rejects where Redis does not answer: it may have taken nonetheless. */
  async take({ id, tenant, counters }: Take): Promise<TakeReply> {
    const reply = this.#readLevels(await this.#run("take", id, tenant, counters), counters);
    if (reply.verdict === "taken") {
      for (const { key, kind } of counters) if (kind === "slots") this.#hold(keyOf(tenant, key), id);
    }
    return reply;
  }

  async look(tenant: string, counters: readonly Counter[]): Promise<readonly CounterLevel[]> {
    return this.#readLevels(await this.#run("look", "look", tenant, counters), counters).levels;
  }

  /** Rejects where Redis does not answer; it may be repeated. Slots are not renewed any more in either case. */
  async settle({ id, tenant, changes }: Settlement): Promise<void> {
    for (const { key, kind } of changes) if (kind === "slots") this.#letGo(keyOf(tenant, key), id);
    const keys = [operationKey(tenant, id), ...changes.map(({ key }) => keyOf(tenant, key))];
    const args = changes.flatMap(({ kind, windowMs, endsAt, at, total }) => [kind, windowMs, endsAt, at, total]);
    await this.#redis.dragomanLimitSettle(keys.length, ...keys, id, rememberMs, ...args);
  }

  async reset(tenant: string, counters: readonly Counter[]): Promise<void> {
    if (counters.length === 0) return;
    const keys = counters.map(({ key }) => keyOf(tenant, key));
    await this.#redis.dragomanLimitReset(keys.length, ...keys, ...counters.map(({ kind }) => kind));
  }

  close(): void {
    clearInterval(this.#renewing);
    this.#redis.disconnect();
  }

  #run(mode: "take" | "look", id: string, tenant: string, counters: readonly Counter[]): Promise<number[]> {
    const keys = [operationKey(tenant, id), ...counters.map(({ key }) => keyOf(tenant, key))];
    const args = counters.flatMap(({ kind, limit, need, windowMs, endsAt, seed = -1 }) => [kind, limit, need, windowMs, endsAt, seed]);
    return this.#redis.dragomanLimitTake(keys.length, ...keys, mode, id, slotHoldMs, rememberMs, ...args);
  }

  #readLevels([verdict = 1, now = 0, ...numbers]: number[], counters: readonly Counter[]): TakeReply {
    this.#offset = now - this.#clock.wall();
    const name = verdicts[verdict] ?? "refused";
    if (name === "unseeded") return { verdict: name, levels: [] };
    const levels = counters.map(({ limit, need }, index) => {
      const [used = 0, waitMs = 0, resetMs = 0, at = 0] = numbers.slice(index * 4, index * 4 + 4);
      return { used, limit, waitMs, resetMs, at, taken: need };
    });
    return { verdict: name, levels };
  }

  #hold(key: string, id: string): void {
    const held = this.#slots.get(key);
    if (held === undefined) this.#slots.set(key, new Set([id]));
    else held.add(id);
  }

  #letGo(key: string, id: string): void {
    const held = this.#slots.get(key);
    if (held?.delete(id) && held.size === 0) this.#slots.delete(key);
  }

  async #renew(): Promise<void> {
    for (const [key, held] of this.#slots) {
      // What is missed once is renewed the next time, well before it ends.
      await this.#redis.dragomanLimitRenew(1, key, slotHoldMs, ...held).catch(() => undefined);
    }
  }
}

/** Tenants' ids hold no braces, so the hash tag is the tenant's alone. */
function keyOf(tenant: string, key: string): string {
  return `dragoman:limit:{${tenant}}:${key}`;
}

function operationKey(tenant: string, id: string): string {
  return `dragoman:limit:{${tenant}}:op:${id}`;
}
