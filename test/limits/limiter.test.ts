import { describe, expect, test } from "vitest";
import { GatewayError } from "../../src/core/error.ts";
import type { LimitAmounts, LimitFacts, LimitLease } from "../../src/core/limits.ts";
import { type ConfiguredLimit, readConfiguredLimits } from "../../src/limits/configured-rules.ts";
import { createLimiter } from "../../src/limits/limiter.ts";
import { MemoryLimitState } from "../../src/limits/memory-state.ts";
import { RuleBook } from "../../src/limits/rule-book.ts";
import { MovedClock } from "./counters.ts";

type Rule = Partial<ConfiguredLimit> & Pick<ConfiguredLimit, "subject">;

function start(rules: readonly Rule[], spent: (from: number) => bigint = () => 0n, zone = "UTC") {
  const clock = new MovedClock();
  const state = new MemoryLimitState({ clock, maxCounters: 1_000 });
  const limiter = createLimiter({
    book: new RuleBook(readConfiguredLimits(rules.map((rule) => ({ tenant: "*", id: "*", ...rule })))),
    state,
    zones: { of: () => zone, load: async () => zone },
    spentBefore: async (_tenant, _limit, from) => spent(from),
    rulesChanged: async () => undefined,
  });
  return { clock, state, limiter };
}

const call: LimitFacts = {
  tenant: "acme",
  project: "web",
  owner: "ada",
  key: "key-1",
  endUser: "u-1",
  models: ["openai/gpt-5", "gpt-5", "smart"],
  route: "smart",
};

function amounts(more: Partial<LimitAmounts> = {}): LimitAmounts {
  return { inputTokens: 0, outputTokens: 0, bytes: 0, costNano: 0n, ...more };
}

type Limiter = ReturnType<typeof start>["limiter"];

async function take({ claim }: Limiter, facts: LimitFacts = call, more: Partial<LimitAmounts> = {}): Promise<LimitLease | GatewayError> {
  try {
    return (await claim(facts)?.reserve(amounts(more))) ?? new GatewayError("internal", "no rule holds");
  } catch (thrown) {
    return GatewayError.from(thrown);
  }
}

const isTaken = (outcome: LimitLease | GatewayError): outcome is LimitLease => !(outcome instanceof GatewayError);

describe("rules", () => {
  test("without any nothing is to be done", () => {
    expect(start([]).limiter.claim(call)).toBeUndefined();
    expect(start([{ subject: "key", id: "another", concurrency: 1 }]).limiter.claim(call)).toBeUndefined();
    expect(start([{ subject: "end_user", concurrency: 1 }]).limiter.claim({ ...call, endUser: "" })).toBeUndefined();
  });

  test("for each of a kind count each by itself", async () => {
    const { limiter } = start([{ subject: "key", requests_per_minute: 1 }]);
    expect(isTaken(await take(limiter))).toBe(true);
    expect(isTaken(await take(limiter))).toBe(false);
    expect(isTaken(await take(limiter, { ...call, key: "key-2" }))).toBe(true);
  });

  test("for owners count all their keys together, and keys without an owner not at all", async () => {
    const { limiter } = start([{ subject: "owner", requests_per_minute: 2 }]);
    expect(isTaken(await take(limiter))).toBe(true);
    expect(isTaken(await take(limiter, { ...call, key: "key-2" }))).toBe(true);
    expect(isTaken(await take(limiter, { ...call, key: "key-3" }))).toBe(false);
    expect(isTaken(await take(limiter, { ...call, owner: "ben" }))).toBe(true);
    expect(limiter.claim({ ...call, owner: "" })).toBeUndefined();
  });

  test("hold for a call that is only a question as far as they count such calls", async () => {
    const { limiter } = start([{ subject: "key", requests_per_minute: 2, tokens_per_minute: 1, usd_per_day: "1" }]);
    expect(isTaken(await take(limiter, call, { inputTokens: 1, costNano: 1_000_000_000n }))).toBe(true);
    expect(isTaken(await take(limiter)), "nothing is left of tokens and money").toBe(false);
    const ask = () => limiter.claim(call, new Set(["requests"]))?.reserve(amounts());
    expect((await ask())?.levels.map(({ field, remaining }) => [field, remaining])).toEqual([["requests_per_minute", 0]]);
    expect(ask).toThrow(/requests a minute of the key is reached/);
  });

  test("that name the subject stand before those for all, in either direction", async () => {
    const { limiter } = start([
      { subject: "key", requests_per_minute: 1, concurrency: 7 },
      { subject: "key", id: "key-1", requests_per_minute: 3 },
    ]);
    const levels = await limiter.usage(call);
    expect(levels.map(({ field, limit }) => [field, limit])).toEqual([
      ["requests_per_minute", 3],
      ["concurrency", 7],
    ]);
  });

  test("find a model by every name it has", async () => {
    for (const id of call.models) {
      const { limiter } = start([{ subject: "model", id, requests_per_minute: 1 }]);
      expect(isTaken(await take(limiter))).toBe(true);
      expect(isTaken(await take(limiter))).toBe(false);
    }
  });

  test("of another tenant do not hold", () => {
    expect(start([{ subject: "tenant", tenant: "other", concurrency: 1 }]).limiter.claim(call)).toBeUndefined();
  });

  test("of all kinds hold together, or nothing is taken", async () => {
    const { limiter, state } = start([
      { subject: "tenant", requests_per_minute: 100 },
      { subject: "key", concurrency: 10 },
      { subject: "route", tokens_per_minute: 50 },
    ]);
    expect(isTaken(await take(limiter, call, { inputTokens: 50 }))).toBe(true);
    const refused = await take(limiter, call, { inputTokens: 1 });
    expect(refused).toMatchObject({ reason: "rate_limited" });
    expect(state.slotsHeld).toBe(1);
    const levels = await limiter.usage(call);
    expect(levels.find(({ field }) => field === "requests_per_minute")?.remaining).toBe(99);
  });
});

describe("refusals", () => {
  test.each([
    [{ requests_per_minute: 1 }, "rate_limited", "the limit of 1 requests a minute of the key is reached"],
    [{ concurrency: 1 }, "concurrency_limit_exceeded", "the limit of 1 calls at once of the key is reached"],
    [{ usd_per_day: "0.25" }, "quota_exhausted", "the limit of 0.25 dollars a day of the key is reached"],
  ] as const)("of %j", async (limit, reason, message) => {
    const { limiter } = start([{ subject: "key", ...limit }]);
    await take(limiter, call, { costNano: 250_000_000n });
    const refused = await take(limiter, call, { costNano: 1n });
    expect(refused).toMatchObject({ reason, message, status: 429 });
    if (isTaken(refused)) return;
    expect(refused.details.retryAfterMs).toBeGreaterThan(0);
    expect(refused.details.violations).toEqual([expect.objectContaining({ subject: `key/${Object.keys(fieldOf(limit))[0]}` })]);
  });

  test("name no end user", async () => {
    const { limiter } = start([{ subject: "end_user", requests_per_minute: 1 }]);
    await take(limiter, { ...call, endUser: "jane@example.com" });
    const refused = await take(limiter, { ...call, endUser: "jane@example.com" });
    if (isTaken(refused)) throw new Error("was admitted");
    expect(JSON.stringify([refused.message, refused.details])).not.toContain("jane");
  });

  test("carry what is left for the client's headers", async () => {
    const { limiter } = start([{ subject: "key", requests_per_minute: 2, tokens_per_minute: 100 }]);
    await take(limiter, call, { inputTokens: 60 });
    const refused = await take(limiter, call, { inputTokens: 60 });
    if (isTaken(refused)) throw new Error("was admitted");
    expect(refused.details.headers).toMatchObject({
      "x-ratelimit-limit-requests": "2",
      "x-ratelimit-remaining-requests": "1",
      "x-ratelimit-limit-tokens": "100",
      "x-ratelimit-remaining-tokens": "40",
    });
  });
});

/** Money is written in dollars and counted in nano-dollars. */
function fieldOf(limit: object): object {
  return "usd_per_day" in limit ? { cost_nano_usd_per_day: 0 } : limit;
}

describe("tokens", () => {
  test("L7: pass the limit by no more than the error of the estimates in flight", async () => {
    const { limiter } = start([{ subject: "key", tokens_per_minute: 100 }]);
    const running: LimitLease[] = [];
    for (let attempt = 0; attempt < 50; attempt++) {
      const outcome = await take(limiter, call, { inputTokens: 10, outputTokens: 10 });
      if (isTaken(outcome)) running.push(outcome);
    }
    expect(running).toHaveLength(5);
    const errorOfEach = 7;
    for (const lease of running) lease.settle(amounts({ inputTokens: 10, outputTokens: 10 + errorOfEach }));
    const [level] = await limiter.usage(call);
    expect(level?.remaining).toBe(0);
    const used = running.length * (20 + errorOfEach);
    expect(used - 100).toBeLessThanOrEqual(running.length * errorOfEach);
    expect(isTaken(await take(limiter, call, { inputTokens: 1 }))).toBe(false);
  });

  test("of a cap above the limit are no refusal for ever", async () => {
    const { limiter } = start([{ subject: "key", output_tokens_per_minute: 100 }]);
    const lease = await take(limiter, call, { outputTokens: 64_000 });
    if (!isTaken(lease)) throw lease;
    expect(isTaken(await take(limiter, call, { outputTokens: 1 }))).toBe(false);
    lease.settle(amounts({ outputTokens: 40 }));
    expect(isTaken(await take(limiter, call, { outputTokens: 60 }))).toBe(true);
  });

  test("are settled once", async () => {
    const { limiter } = start([{ subject: "key", tokens_per_minute: 100, concurrency: 5 }]);
    const lease = await take(limiter, call, { inputTokens: 50 });
    if (!isTaken(lease)) throw lease;
    lease.settle(amounts({ inputTokens: 20 }));
    lease.settle(amounts());
    const [level] = await limiter.usage(call);
    expect(level?.remaining).toBe(80);
  });
});

describe("budgets", () => {
  test("L8: are not passed by 200 worst-case reservations at once, and get back what was not used", async () => {
    const { limiter } = start([{ subject: "tenant", usd_per_month: "1.00" }]);
    const each = 30_000_000n;
    const outcomes = await Promise.all(Array.from({ length: 200 }, () => take(limiter, call, { costNano: each })));
    const leases = outcomes.filter(isTaken);
    expect(leases).toHaveLength(33);
    for (const lease of leases) lease.settle(amounts({ costNano: 1_234_567n }));
    const [level] = await limiter.usage(call);
    expect(BigInt(level?.remaining ?? 0)).toBe(1_000_000_000n - 33n * 1_234_567n);
  });

  test("begin with what the ledger says was spent, in the tenant's own day", async () => {
    const asked: number[] = [];
    const spent = (from: number) => {
      asked.push(from);
      return 900_000_000n;
    };
    const { limiter, clock } = start([{ subject: "key", usd_per_day: "1" }], spent, "America/New_York");
    clock.wallTime = Date.parse("2026-07-01T12:00:00Z");
    expect(isTaken(await take(limiter, call, { costNano: 200_000_000n }))).toBe(false);
    expect(isTaken(await take(limiter, call, { costNano: 100_000_000n }))).toBe(true);
    expect(new Date(asked[0] ?? 0).toISOString()).toBe("2026-07-01T04:00:00.000Z");
  });

  test("are closed where nobody can say what was spent", async () => {
    const { limiter } = start([{ subject: "key", usd_per_day: "1" }], () => {
      throw new Error("the database is away");
    });
    expect(await take(limiter, call, { costNano: 1n })).toMatchObject({ reason: "store_unavailable" });
  });

  test("begin anew when their window does", async () => {
    const { limiter, clock } = start([{ subject: "key", usd_per_day: "1" }]);
    await take(limiter, call, { costNano: 1_000_000_000n });
    expect(isTaken(await take(limiter, call, { costNano: 1n }))).toBe(false);
    clock.move(24 * 3_600_000);
    expect(isTaken(await take(limiter, call, { costNano: 1n }))).toBe(true);
  });
});

test("reset empties what a rule counts, and leaves running calls their slots", async () => {
  const { limiter } = start([{ subject: "key", requests_per_minute: 1, concurrency: 2 }]);
  await take(limiter);
  const levels = await limiter.reset(call, "");
  expect(levels.map(({ field, remaining }) => [field, remaining])).toEqual([
    ["requests_per_minute", 1],
    ["concurrency", 1],
  ]);
});
