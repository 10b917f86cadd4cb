/**
 * Counters in Redis, for all replicas. One script takes all counters of a call or none, in one round trip. Nothing waits
 * longer than the command's time, nothing is queued while Redis is away, nothing is sent twice by the client: scripts that
 * are repeated carry the operation's name and count once.
 */
import { type Cluster, Redis, type Result } from "ioredis";
import type { Clock } from "../core/clock.ts";
import { createRedis, type RedisPlace } from "./connect-redis.ts";
import type { Counter, CounterLevel, Settlement, Take, TakeReply } from "./limit-state.ts";
import { probeScript, renewScript, resetScript, settleScript, takeScript } from "./redis-scripts.ts";

declare module "ioredis" {
  interface RedisCommander<Context> {
    dragomanLimitTake(keys: number, ...args: (string | number)[]): Result<number[], Context>;
    dragomanLimitSettle(keys: number, ...args: (string | number)[]): Result<number, Context>;
    dragomanLimitRenew(keys: number, ...args: (string | number)[]): Result<number, Context>;
    dragomanLimitReset(keys: number, ...args: (string | number)[]): Result<number, Context>;
    dragomanLimitProbe(keys: number, ...args: (string | number)[]): Result<number, Context>;
  }
}

export interface RedisCountersOptions extends RedisPlace {
  readonly clock: Clock;
}

/** A slot that nobody renews is free after this: the process that held it is dead. */
const slotHoldMs = 60_000;
const renewEveryMs = 20_000;
/** How long an operation is remembered, so that what it took can be put right: longer than any call may run. */
const rememberTakenMs = 90_000_000;
/** And one that was settled, so that it counts once. */
const rememberSettledMs = 600_000;
const verdicts = ["taken", "refused", "unseeded"] as const;

export class RedisCounters {
  readonly #redis: Redis | Cluster;
  readonly #commandTimeoutMs: number;
  readonly #clock: Clock;
  /** Whose command failed last: of a cluster, their part may be away. */
  #failedTenant = "default";
  #trouble = "";
  /** How far Redis's clock is ahead of ours, in milliseconds. */
  #offset = 0;
  /** Slots that this process holds: the operations by key. */
  readonly #slots = new Map<string, Set<string>>();
  readonly #renewing: NodeJS.Timeout;

  constructor({ clock, ...place }: RedisCountersOptions) {
    this.#clock = clock;
    this.#commandTimeoutMs = place.commandTimeoutMs;
    const redis = createRedis(place);
    // Without a listener ioredis throws; what is away is told by whoever uses this.
    redis.on("error", (error: Error) => this.#note(error));
    redis.defineCommand("dragomanLimitTake", { lua: takeScript });
    redis.defineCommand("dragomanLimitSettle", { lua: settleScript });
    redis.defineCommand("dragomanLimitRenew", { lua: renewScript });
    redis.defineCommand("dragomanLimitReset", { lua: resetScript });
    redis.defineCommand("dragomanLimitProbe", { lua: probeScript });
    this.#redis = redis;
    this.#renewing = setInterval(() => void this.#renew(), renewEveryMs);
    this.#renewing.unref();
  }

  /** Resolves to whether Redis answered; it is tried again and again where it did not. */
  async connect(): Promise<boolean> {
    try {
      await this.#redis.connect();
      return await this.answers();
    } catch (error) {
      this.#note(error);
      return false;
    }
  }

  /** Milliseconds since 1970 by Redis's clock. */
  wall(): number {
    return this.#clock.wall() + this.#offset;
  }

  /** Whether Redis does now what counting needs: it answers, runs scripts and takes what they write. Never rejects. */
  async answers(): Promise<boolean> {
    if (this.#redis.status !== "ready") return false;
    const tenant = this.#failedTenant;
    try {
      await this.#send(tenant, () => this.#redis.dragomanLimitProbe(1, keyOf(tenant, "probe")));
      return true;
    } catch {
      return false;
    }
  }

  /** What went wrong last, in Redis's words; empty: nothing did. */
  get trouble(): string {
    return this.#trouble;
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
    await this.#send(tenant, () => this.#redis.dragomanLimitSettle(keys.length, ...keys, id, rememberSettledMs, ...args));
  }

  async reset(tenant: string, counters: readonly Counter[]): Promise<void> {
    if (counters.length === 0) return;
    const keys = counters.map(({ key }) => keyOf(tenant, key));
    await this.#send(tenant, () => this.#redis.dragomanLimitReset(keys.length, ...keys, ...counters.map(({ kind }) => kind)));
  }

  close(): void {
    clearInterval(this.#renewing);
    this.#redis.disconnect();
  }

  #run(mode: "take" | "look", id: string, tenant: string, counters: readonly Counter[]): Promise<number[]> {
    const keys = [operationKey(tenant, id), ...counters.map(({ key }) => keyOf(tenant, key))];
    const args = counters.flatMap(({ kind, limit, need, windowMs, endsAt, seed = -1 }) => [kind, limit, need, windowMs, endsAt, seed]);
    return this.#send(tenant, () => this.#redis.dragomanLimitTake(keys.length, ...keys, mode, id, slotHoldMs, rememberTakenMs, ...args));
  }

  /** Notes what goes wrong. A cluster's own retries must not make anybody wait longer than for one command. */
  async #send<Answer>(tenant: string, command: () => Promise<Answer>): Promise<Answer> {
    try {
      const answer = command();
      return await (this.#redis instanceof Redis ? answer : inTime(answer, this.#commandTimeoutMs));
    } catch (error) {
      this.#failedTenant = tenant;
      this.#note(error);
      throw error;
    }
  }

  #note(error: unknown): void {
    const said = error instanceof Error ? error.message : String(error);
    // What comes after the reason, and says none.
    if (this.#trouble === "" || said !== "Connection is closed.") this.#trouble = said;
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

function inTime<Answer>(answer: Promise<Answer>, ms: number): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("Command timed out")), ms);
    answer.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** Tenants' ids hold no braces, so the hash tag is the tenant's alone. */
function keyOf(tenant: string, key: string): string {
  return `dragoman:limit:{${tenant}}:${key}`;
}

function operationKey(tenant: string, id: string): string {
  return `dragoman:limit:{${tenant}}:op:${id}`;
}
