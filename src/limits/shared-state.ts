/**
 * Counters that replicas share, and what holds while they are away (reliability.md 3.9): each limit is closed, open, or
 * this process's share of it. A process that sees the shared state fail stops asking until a probe is answered, so that
 * one call waits and the rest do not.
 */
import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/error.ts";
import type { Logger } from "../core/log.ts";
import type { Counter, CounterLevel, LimitState, Settlement, Take, TakeReply } from "./limit-state.ts";
import { unusedOf, windowParts } from "./limit-state.ts";
import { MemoryLimitState } from "./memory-state.ts";

/** The shared counters; RedisCounters is one. All of them reject where they do not answer. */
export interface SharedCounters {
  readonly connected: boolean;
  /** What went wrong last, for people; empty: nothing did. */
  readonly trouble: string;
  wall(): number;
  answers(): Promise<boolean>;
  take(take: Take): Promise<TakeReply>;
  settle(settlement: Settlement): Promise<void>;
  look(tenant: string, counters: readonly Counter[]): Promise<readonly CounterLevel[]>;
  reset(tenant: string, counters: readonly Counter[]): Promise<void>;
  close(): void;
}

export interface SharedStateOptions {
  /** Undefined where several machines share nothing: then it is away for good. */
  readonly shared: SharedCounters | undefined;
  /** Processes that share the limits: while the shared state is away, each has this part of them. */
  readonly processes: number;
  readonly maxCounters: number;
  readonly clock: Clock;
  readonly log: Logger;
}

const probeEveryMs = 200;
/** Settlements that wait for the shared state's return. Older ones matter least: their windows are over first. */
const maxWaiting = 50_000;
const flushBatch = 200;

export class SharedLimitState implements LimitState {
  readonly #options: SharedStateOptions;
  /** What this process let in: its share counts from there when the shared state goes away. */
  readonly #own: MemoryLimitState;
  #away: boolean;
  #waiting: Settlement[] = [];
  #probe: NodeJS.Timeout | undefined;
  #closed = false;
  #lastWall = 0;

  constructor(options: SharedStateOptions) {
    this.#options = options;
    const wall = () => this.wall();
    // By the shared clock, so that its parts of windows are those of the shared counters.
    this.#own = new MemoryLimitState({ clock: { now: () => this.#steadyWall(), wall }, maxCounters: options.maxCounters });
    this.#away = true;
    if (options.shared !== undefined) this.#probeSoon(0);
  }

  get away(): boolean {
    return this.#away && this.#options.shared !== undefined;
  }

  /** Slots that calls of this process hold. */
  get slotsHeld(): number {
    return this.#own.slotsHeld;
  }

  wall(): number {
    return this.#options.shared?.wall() ?? this.#options.clock.wall();
  }

  /** Asks once more at once: at start, before the first call. */
  async ready(): Promise<void> {
    await this.#tryReturn();
  }

  take(take: Take): TakeReply | Promise<TakeReply> {
    const { shared } = this.#options;
    if (shared === undefined) return this.#takeHere(take);
    if (!this.#away) return this.#takeThere(shared, this.#withWhatWasSeen(take));
    const here = this.#takeHere(take);
    // One that comes again with its seeds was asked there before.
    if (here.verdict === "refused" && take.counters.some(({ seed }) => seed !== undefined)) this.#keep(unusedOf(take, []));
    return here;
  }

  settle(settlement: Settlement): void {
    this.#own.settle(settlement);
    const { shared } = this.#options;
    if (shared === undefined) return;
    if (this.#away) this.#keep(settlement);
    else
      shared.settle(settlement).catch((error: unknown) => {
        this.#keep(settlement);
        this.#goAway(error);
      });
  }

  async look(tenant: string, counters: readonly Counter[]): Promise<readonly CounterLevel[]> {
    return this.#ask((shared) => shared.look(tenant, counters));
  }

  async reset(tenant: string, counters: readonly Counter[]): Promise<void> {
    await this.#ask((shared) => shared.reset(tenant, counters));
    await this.#own.reset(tenant, counters);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#probe);
    this.#options.shared?.close();
    this.#own.close();
  }

  async #takeThere(shared: SharedCounters, take: Take): Promise<TakeReply> {
    try {
      return this.#seen(take, await shared.take(take));
    } catch (thrown) {
      // A closed limit has nobody else to ask: once more, as it may have been one lost answer.
      if (shared.connected && take.counters.some(({ fallback }) => fallback === "closed")) {
        try {
          return this.#seen(take, await shared.take(take));
        } catch {
          // The first failure says what is wrong.
        }
      }
      this.#goAway(thrown);
      const here = this.#takeHere(take);
      // It may have happened there: what it put there is taken back, unless the same comes again with its seeds.
      if (here.verdict === "refused" || here.verdict === "away") this.#keep(unusedOf(take, []));
      return here;
    }
  }

  /** Notes here what was taken there. */
  #seen(take: Take, reply: TakeReply): TakeReply {
    const { tenant, counters } = take;
    if (reply.verdict === "taken") this.#own.note(take);
    for (const [index, counter] of counters.entries()) {
      const level = reply.levels[index];
      if (counter.kind === "calendar" && level !== undefined) {
        this.#own.setSpent(tenant, counter, Math.ceil(level.used / this.#options.processes));
      }
    }
    return reply;
  }

  /** What this process saw spent last counts too: Redis may have lost more than the ledger has written yet. */
  #withWhatWasSeen(take: Take): Take {
    const { tenant, counters } = take;
    if (!counters.some(({ seed }) => seed !== undefined)) return take;
    return {
      ...take,
      counters: counters.map((counter) => {
        if (counter.seed === undefined) return counter;
        const seen = (this.#own.spent(tenant, counter.key) ?? 0) * this.#options.processes;
        return { ...counter, seed: Math.max(counter.seed, seen) };
      }),
    };
  }

  #takeHere(take: Take): TakeReply {
    const levels: CounterLevel[] = [];
    if (take.counters.some(({ fallback }) => fallback === "closed")) return { verdict: "away", levels };
    const shares = take.counters.map((counter) => this.#shareOf(counter));
    const asked = shares.filter((counter) => counter !== undefined);
    const reply = this.#own.take({ ...take, counters: asked });
    let next = 0;
    for (const [index, counter] of take.counters.entries()) {
      const at = counter.kind === "window" ? Math.floor(this.wall() / (counter.windowMs / windowParts)) : 0;
      const level = shares[index] === undefined ? undefined : reply.levels[next++];
      levels.push(level ?? { used: 0, limit: counter.limit, waitMs: 0, resetMs: 0, at, taken: 0 });
    }
    return { verdict: reply.verdict, levels };
  }

  /** This process's part of a limit, and of what was spent of it; undefined for one that is open. At least one, or nobody could be admitted. */
  #shareOf(counter: Counter): Counter | undefined {
    if (counter.fallback === "open") return undefined;
    const { processes } = this.#options;
    const limit = Math.max(1, Math.floor(counter.limit / processes));
    const seed = counter.seed === undefined ? undefined : Math.ceil(counter.seed / processes);
    return { ...counter, limit, need: Math.min(counter.need, limit), seed };
  }

  async #ask<Answer>(question: (shared: SharedCounters) => Promise<Answer>): Promise<Answer> {
    const { shared } = this.#options;
    try {
      if (shared !== undefined) return await question(shared);
    } catch (cause) {
      throw away(cause);
    }
    throw away(undefined);
  }

  #keep(settlement: Settlement): void {
    this.#waiting.push(settlement);
    if (this.#waiting.length > 2 * maxWaiting) this.#waiting = this.#waiting.slice(-maxWaiting);
  }

  #goAway(error: unknown): void {
    if (this.#away || this.#closed) return;
    this.#away = true;
    this.#options.log.warn("the shared state of the limits is away; each limit does what is configured for that", { error });
    // At once first: it may have been one late answer.
    this.#probeSoon(0);
  }

  #probeSoon(ms: number): void {
    clearTimeout(this.#probe);
    if (this.#closed) return;
    this.#probe = setTimeout(() => void this.#tryReturn(), ms);
    this.#probe.unref();
  }

  async #tryReturn(): Promise<void> {
    const { shared, log } = this.#options;
    if (shared === undefined || !this.#away || this.#closed) return;
    if (!(await shared.answers())) {
      this.#probeSoon(probeEveryMs);
      return;
    }
    if (!this.#away) return;
    this.#away = false;
    log.info("the shared state of the limits is there");
    await this.#flush(shared);
  }

  /** Tells what was settled meanwhile: what was let in here counts there too, once. */
  async #flush(shared: SharedCounters): Promise<void> {
    while (this.#waiting.length > 0 && !this.#away) {
      const batch = this.#waiting.splice(0, flushBatch);
      const told = await Promise.allSettled(batch.map((settlement) => shared.settle(settlement)));
      for (const [index, result] of told.entries()) {
        const settlement = batch[index];
        if (result.status === "fulfilled" || settlement === undefined) continue;
        this.#keep(settlement);
        this.#goAway(result.reason);
      }
    }
  }

  #steadyWall(): number {
    this.#lastWall = Math.max(this.#lastWall, this.wall());
    return this.#lastWall;
  }
}

function away(cause: unknown): GatewayError {
  return new GatewayError("store_unavailable", "the shared state of the limits is away; repeat the call later", {
    cause,
    retryAfterMs: 1_000,
    undispatched: true,
  });
}
