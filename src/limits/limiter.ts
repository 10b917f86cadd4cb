/** Reserves what a call may take, over all rules that hold for it or none, and puts it right when the call is over. */
import { GatewayError, type Reason } from "../core/error.ts";
import { ulid } from "../core/id.ts";
import {
  type LimitAmounts,
  type LimitClaim,
  type LimitDesk,
  type Limiter,
  type LimitFacts,
  type LimitLease,
  type LimitLevel,
  type LimitMetric,
  limitFields,
  maxLimit,
} from "../core/limits.ts";
import { writeDollars } from "../core/money.ts";
import { concurrencyHeaders, rateLimitHeaders } from "../core/rate-limit-headers.ts";
import { calendarWindow } from "./calendar.ts";
import { readSettings } from "./limit-rule.ts";
import type { Counter, CounterLevel, LimitState, TakeReply } from "./limit-state.ts";
import type { HeldLimit, RuleBook } from "./rule-book.ts";
import type { TenantZones } from "./tenant-zones.ts";

/** What was spent in a calendar window before its counter began: the ledger knows. */
export type SpentBefore = (tenant: string, limit: HeldLimit, from: number) => Promise<bigint>;

export interface LimiterOptions {
  readonly book: RuleBook;
  readonly state: LimitState;
  /** Days and months begin by them. */
  readonly zones: Pick<TenantZones, "of" | "load">;
  readonly spentBefore: SpentBefore;
  /** Reads changed rules at once. */
  readonly rulesChanged: () => Promise<void>;
}

const spans = { second: 1_000, minute: 60_000 } as const;

export function createLimiter(options: LimiterOptions): Limiter & LimitDesk {
  const { book, state, zones } = options;
  const countersOf = (held: readonly HeldLimit[], amounts: LimitAmounts, zone: string): Counter[] =>
    held.map((limit) => counterOf(limit, amounts, state.wall(), zone));

  const usage = async (facts: LimitFacts): Promise<readonly LimitLevel[]> => {
    const held = book.find(facts);
    const counters = await withSeeds(facts.tenant, held, countersOf(held, nothing, await zoneOf(facts.tenant)));
    const levels = await state.look(facts.tenant, counters);
    return held.map((limit, index) => describe(limit, levels[index]));
  };

  const zoneOf = async (tenant: string): Promise<string> => zones.of(tenant) ?? zones.load(tenant);
  const asking = new Map<string, Promise<bigint>>();

  /** What was spent in a window before: asked once, however many calls wait for it. */
  function spentBefore(tenant: string, limit: HeldLimit, key: string): Promise<bigint> {
    const name = `${tenant}\n${key}`;
    let answer = asking.get(name);
    if (answer === undefined) {
      const span = limitFields[limit.field].window === "day" ? "day" : "month";
      const { startsAt } = calendarWindow(state.wall(), span, zones.of(tenant) ?? "UTC");
      answer = options.spentBefore(tenant, limit, startsAt).finally(() => asking.delete(name));
      asking.set(name, answer);
    }
    return answer;
  }

  /** Calendar windows with what was spent before. Throws where nobody knows it and the limit is closed then. */
  async function withSeeds(tenant: string, held: readonly HeldLimit[], counters: readonly Counter[]): Promise<readonly Counter[]> {
    return Promise.all(
      counters.map(async (counter, index) => {
        const limit = held[index];
        if (counter.kind !== "calendar" || limit === undefined) return counter;
        try {
          return { ...counter, seed: toCount(await spentBefore(tenant, limit, counter.key)) };
        } catch (cause) {
          if (counter.fallback !== "closed") return { ...counter, seed: 0 };
          throw new GatewayError("store_unavailable", "what was spent cannot be read now, so the budget is closed; repeat the call later", {
            cause,
            retryAfterMs: 1_000,
            undispatched: true,
          });
        }
      }),
    );
  }

  return {
    get idle() {
      return book.isEmpty;
    },
    claim(facts, metrics) {
      const all = book.find(facts);
      const held = metrics === undefined ? all : all.filter(({ field }) => metrics.has(limitFields[field].metric));
      if (held.length === 0) return undefined;
      return claimOf(facts, held);
    },
    usage,
    async reset(facts, rule) {
      const held = book.find(facts).filter(({ rule: { id } }) => rule === "" || id === rule);
      await state.reset(facts.tenant, countersOf(held, nothing, await zoneOf(facts.tenant)));
      return usage(facts);
    },
    rulesChanged: options.rulesChanged,
    readSettings,
  };

  function claimOf({ tenant }: LimitFacts, held: readonly HeldLimit[]): LimitClaim {
    const counts = (metric: LimitMetric): boolean => held.some(({ field }) => limitFields[field].metric === metric);
    const needsCost = counts("cost");

    const reserve = (estimate: LimitAmounts, zone: string): LimitLease | Promise<LimitLease> => {
      const id = ulid();
      const counters = countersOf(held, estimate, zone);
      const finish = (reply: TakeReply, asked: readonly Counter[]): LimitLease => {
        if (reply.verdict !== "taken") throw refuse(reply, held);
        return leaseOf({ state, id, tenant, held, bytes: estimate.bytes }, asked, reply);
      };
      const seedAndTake = async (): Promise<LimitLease> => {
        const seeded = await withSeeds(tenant, held, counters);
        return finish(await state.take({ id, tenant, counters: seeded }), seeded);
      };
      const answer = (reply: TakeReply) => (reply.verdict === "unseeded" ? seedAndTake() : finish(reply, counters));
      const reply = state.take({ id, tenant, counters });
      return reply instanceof Promise ? reply.then(answer) : answer(reply);
    };

    return {
      needsCost,
      needsBytes: counts("bytes"),
      reserve(estimate) {
        const zone = needsCost ? zones.of(tenant) : "UTC";
        return zone === undefined ? zones.load(tenant).then((loaded) => reserve(estimate, loaded)) : reserve(estimate, zone);
      },
    };
  }
}

const nothing: LimitAmounts = { inputTokens: 0, outputTokens: 0, bytes: 0, costNano: 0n };

function counterOf({ key, field, limit, fallback }: HeldLimit, amounts: LimitAmounts, now: number, timeZone: string): Counter {
  const { metric, window } = limitFields[field];
  // A cap that is larger than the limit must not be refused for ever.
  const need = Math.min(amountOf(metric, amounts), limit);
  if (window === "now") return { key, kind: "slots", limit, need, windowMs: 0, endsAt: 0, fallback };
  if (window === "second" || window === "minute") {
    return { key, kind: "window", limit, need, windowMs: spans[window], endsAt: 0, fallback };
  }
  const { startsAt, endsAt } = calendarWindow(now, window, timeZone);
  return { key: `${key}:${startsAt}`, kind: "calendar", limit, need, windowMs: 0, endsAt, fallback };
}

function amountOf(metric: LimitMetric, { inputTokens, outputTokens, bytes, costNano }: LimitAmounts): number {
  switch (metric) {
    case "requests":
    case "concurrency":
      return 1;
    case "input_tokens":
      return inputTokens;
    case "output_tokens":
      return outputTokens;
    case "tokens":
      return inputTokens + outputTokens;
    case "bytes":
      return bytes;
    case "cost":
      return toCount(costNano);
  }
}

/** Money as counters hold it: exact below 2^53, and nothing larger is ever compared with a limit. */
function toCount(nano: bigint): number {
  return Math.min(Math.max(0, Number(nano)), maxLimit);
}

interface Taken {
  readonly state: LimitState;
  readonly id: string;
  readonly tenant: string;
  readonly held: readonly HeldLimit[];
  readonly bytes: number;
}

function leaseOf({ state, id, tenant, held, bytes }: Taken, counters: readonly Counter[], reply: TakeReply): LimitLease {
  let ended = false;
  const settle = (actual: LimitAmounts): void => {
    if (ended) return;
    ended = true;
    const changes = counters.map(({ key, kind, windowMs, endsAt }, index) => {
      const { at = 0, taken = 0 } = reply.levels[index] ?? {};
      const limit = held[index];
      const total = limit === undefined ? 0 : amountOf(limitFields[limit.field].metric, actual);
      return { key, kind, windowMs, endsAt, at, taken, total };
    });
    state.settle({ id, tenant, changes });
  };
  return {
    levels: held.map((limit, index) => describe(limit, reply.levels[index])),
    bytes,
    settle,
  };
}

function describe({ rule, field, subjectId, limit: configured }: HeldLimit, level: CounterLevel | undefined): LimitLevel {
  const { used = 0, limit = configured, resetMs = 0 } = level ?? {};
  return { rule: rule.id, subject: rule.subject, subjectId, field, limit, remaining: Math.max(0, limit - used), resetMs };
}

const reasonOf: Readonly<Partial<Record<LimitMetric, Reason>>> = { concurrency: "concurrency_limit_exceeded", cost: "quota_exhausted" };

function refuse(reply: TakeReply, held: readonly HeldLimit[]): GatewayError {
  const full = held.flatMap((limit, index) => {
    const level = reply.levels[index];
    return level === undefined || level.waitMs === 0 ? [] : [{ limit, level }];
  });
  const [longest] = [...full].sort((one, other) => other.level.waitMs - one.level.waitMs);
  if (reply.verdict === "away" || longest === undefined) {
    return new GatewayError("store_unavailable", "a limit of this call cannot be checked now, and is closed then; repeat the call later", {
      retryAfterMs: 1_000,
      undispatched: true,
    });
  }
  const { metric } = limitFields[longest.limit.field];
  const levels = held.map((limit, index) => describe(limit, reply.levels[index]));
  return new GatewayError(reasonOf[metric] ?? "rate_limited", `${sayLimit(longest.limit, longest.level.limit)} is reached`, {
    retryAfterMs: longest.level.waitMs,
    headers: {
      ...(metric === "concurrency" ? concurrencyHeaders(longest.level.limit, longest.level.waitMs) : {}),
      ...rateLimitHeaders(levels),
    },
    violations: full.map(({ limit, level }) => ({
      subject: `${limit.rule.subject}/${limit.field}`,
      description: `${sayLimit(limit, level.limit)} is reached; there is room again in ${Math.ceil(level.waitMs / 1_000)} s at the latest`,
    })),
    undispatched: true,
  });
}

const unitNames: Readonly<Record<LimitMetric, string>> = {
  requests: "requests",
  input_tokens: "input tokens",
  output_tokens: "output tokens",
  tokens: "tokens",
  bytes: "bytes",
  cost: "dollars",
  concurrency: "calls at once",
};

/** `the limit of 60 requests a minute of the key`. */
function sayLimit({ rule, field }: HeldLimit, limit: number): string {
  const { metric, window } = limitFields[field];
  const amount = metric === "cost" ? writeDollars(BigInt(limit)) : String(limit);
  const span = window === "now" ? "" : ` a ${window}`;
  return `the limit of ${amount} ${unitNames[metric]}${span} of the ${rule.subject.replace("_", " ")}`;
}
