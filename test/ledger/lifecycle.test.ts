/** What the pipeline tells the ledger: reserved before dispatch, settled or released once, whatever becomes of the call. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { afterEach, describe, expect, test, vi } from "vitest";
import { ServiceTier } from "../../gen/dragoman/v1/call_pb.ts";
import { BlockKind, FinishReason, type GenerateRequest, GenerateRequestSchema, Role } from "../../gen/dragoman/v1/generate_pb.ts";
import { UsageBasis, UsageSchema } from "../../gen/dragoman/v1/usage_pb.ts";
import type { AttemptCall, Call } from "../../src/core/call.ts";
import { type Clock, systemClock } from "../../src/core/clock.ts";
import { GatewayError } from "../../src/core/error.ts";
import { type EventBatch, EventBuilder, finishedEvent, startedEvent, usageEvent } from "../../src/core/event.ts";
import type { AttemptEnding, AttemptIntent, Checkpoint, Ledger } from "../../src/core/ledger.ts";
import type { Price } from "../../src/core/pricing.ts";
import type { Provider } from "../../src/core/provider.ts";
import { AttemptEndings } from "../../src/pipeline/attempt-endings.ts";
import { attemptGenerate } from "../../src/pipeline/attempt-generate.ts";
import type { AttemptOptions, ChargePolicy, DisconnectPolicy } from "../../src/pipeline/attempts.ts";
import { DrainPool } from "../../src/pipeline/drain-pool.ts";

/** Keeps what it is told. */
class SpyLedger implements Ledger {
  readonly intents: AttemptIntent[] = [];
  readonly checkpoints: Checkpoint[] = [];
  readonly endings: AttemptEnding[] = [];
  beginning: Promise<void> | undefined;

  begin(intent: AttemptIntent): Promise<void> | undefined {
    this.intents.push(intent);
    return this.beginning;
  }
  checkpoint(_: string, checkpoint: Checkpoint): void {
    this.checkpoints.push(checkpoint);
  }
  settle(ending: AttemptEnding): void {
    this.endings.push(ending);
  }
  callEnded(): void {}

  get settlements() {
    return this.endings.map(({ settlement }) => settlement);
  }
}

type Generate = (call: AttemptCall) => AsyncIterable<EventBatch>;

/** A dollar for a million tokens of input, two for those of output. */
const price: Price = {
  tiers: [{ aboveInputTokens: 0, rates: { input: 1_000_000_000n, output: 2_000_000_000n } }],
  version: "v1",
  source: "tests",
};

interface Settings {
  readonly chargePolicy?: ChargePolicy;
  readonly onDisconnect?: DisconnectPolicy;
  readonly drains?: DrainPool;
  readonly clock?: Clock;
  readonly asked?: GenerateRequest;
  readonly prices?: Price;
}

const pools: DrainPool[] = [];
afterEach(() => Promise.all(pools.splice(0).map((pool) => pool.close(0))));

function poolOf(bounds: Partial<ConstructorParameters<typeof DrainPool>[0]> = {}): DrainPool {
  const pool = new DrainPool({ maxStreams: 10, maxMs: 10_000, maxTokens: 10_000, ...bounds });
  pools.push(pool);
  return pool;
}

/** A call over targets p/0, p/1, ... whose models are functions. */
function harness(models: readonly Generate[], { chargePolicy, onDisconnect, drains, clock = systemClock, ...settings }: Settings = {}) {
  const { asked = request, prices = price } = settings;
  const ledger = new SpyLedger();
  const provider: Provider = {
    name: "p",
    traits: () => ({}),
    close: async () => {},
    generate: (_, target, call) => (models[Number(target.model)] as Generate)(call),
  };
  const router: AttemptOptions["router"] = { provider: () => provider, resolve: () => unused(), models: () => [] };
  const attempt = attemptGenerate({
    router,
    ledger,
    clock,
    retryableStatusCodes: new Set([500]),
    node: "",
    prices: { price: () => prices },
    chargePolicy,
    onDisconnect: () => onDisconnect ?? "estimate",
    drains,
    endings: new AttemptEndings(),
  });
  const client = new AbortController();
  const call: Call = {
    requestId: "01REQUEST",
    clientRequestId: "",
    operation: "generate",
    surface: "rpc",
    dialect: "dragoman",
    principal: { tenant: "acme", project: "blue", id: "key-1" } as Call["principal"],
    signal: client.signal,
    startedAt: clock.now(),
    deadline: clock.now() + 60_000,
    traceparent: "",
    attribution: undefined,
    options: undefined,
    attempts: [],
    translation: [],
    targets: models.map((_, index) => ({ id: `p/${index}`, provider: "p", model: String(index), traits: {} })),
    maxAttempts: 3,
    route: "all",
  };
  const leave = () => client.abort(new GatewayError("cancelled", "the client went away"));
  return { ledger, run: () => attempt(asked, call), leave, stop: (error: GatewayError) => client.abort(error) };
}

function unused(): never {
  throw new Error("not used here");
}

const request = create(GenerateRequestSchema, {
  model: "all",
  messages: [{ role: Role.USER, parts: [{ part: { case: "text", value: "Hello there, friend" } }] }],
});

const answer = "twelve characters of text, four times over..";

function* batches({ end = true } = {}): Generator<EventBatch> {
  const events = new EventBuilder();
  events.push(startedEvent({}));
  const index = events.startBlock(0, BlockKind.TEXT);
  events.text(0, index, answer);
  yield { events: events.take() };
  if (!end) return;
  events.endBlock(0, index);
  events.push(finishedEvent({ candidate: 0, reason: FinishReason.STOP }));
  events.push(usageEvent(create(UsageSchema, { inputTokens: 9, outputTokens: 11 })));
  yield { events: events.take() };
}

const good: Generate = async function* (call) {
  call.attempt.httpStatus = 200;
  yield* batches();
};

/** Gives its first words, and the rest when it is let go or its call is stopped. */
function slow(): { model: Generate; release: () => void; stopped: () => boolean } {
  let release = (): void => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  let signal: AbortSignal | undefined;
  return {
    release: () => release(),
    stopped: () => signal?.aborted === true,
    model: async function* (call) {
      call.attempt.httpStatus = 200;
      signal = call.signal;
      const [first, ...rest] = batches();
      if (first !== undefined) yield first;
      await new Promise<void>((resolve, reject) => {
        void held.then(resolve);
        call.signal.addEventListener("abort", () => reject(call.signal.reason), { once: true });
      });
      yield* rest;
    },
  };
}

async function drain(events: AsyncIterable<EventBatch>): Promise<void> {
  for await (const _ of events);
}

/** Reads the first words and goes. */
async function leaveAfterFirst(events: AsyncIterable<EventBatch>, leave: () => void): Promise<void> {
  for await (const _ of events) {
    leave();
    break;
  }
}

describe("an attempt", () => {
  test("is reserved with what is known before it is sent, and settled with what it cost", async () => {
    const { ledger, run } = harness([good]);
    await drain(run());
    expect(ledger.intents).toMatchObject([
      {
        tenant: "acme",
        project: "blue",
        principal: "key-1",
        attempt: 1,
        requestedModel: "all",
        route: "all",
        target: "p/0",
        pricingVersion: "v1",
      },
    ]);
    expect(ledger.intents[0]?.estimatedInputTokens).toBeGreaterThan(0);
    expect(ledger.settlements).toMatchObject([
      {
        usageId: ledger.intents[0]?.usageId,
        state: "settled",
        outcome: "success",
        status: "success",
        usage: { inputTokens: 9, outputTokens: 11, basis: UsageBasis.PROVIDER },
        costNano: 31_000n,
        chargeNano: 31_000n,
      },
    ]);
  });

  test("is reserved by the dearest rates that the request may be billed by", async () => {
    const dear: Price = {
      tiers: [
        { aboveInputTokens: 0, rates: { ...price.tiers[0]?.rates, cache_write: 3_000_000_000n, "priority.input": 7_000_000_000n } },
        { aboveInputTokens: 1_000, rates: { input: 9_000_000_000n } },
      ],
      version: "v2",
      source: "tests",
    };
    const text = (length: number) => [{ role: Role.USER, parts: [{ part: { case: "text" as const, value: "x".repeat(length) } }] }];
    const reservedPerToken = async (asked: MessageInitShape<typeof GenerateRequestSchema>) => {
      const { ledger, run } = harness([good], { prices: dear, asked: create(GenerateRequestSchema, { model: "all", ...asked }) });
      await drain(run());
      const [intent] = ledger.intents;
      return Number(intent?.reservedNano) / (intent?.estimatedInputTokens ?? 0);
    };
    expect(await reservedPerToken({ messages: text(400) })).toBe(1_000);
    expect(await reservedPerToken({ messages: text(400), cache: {} })).toBe(3_000);
    expect(await reservedPerToken({ messages: text(400), serviceTier: ServiceTier.PRIORITY })).toBe(7_000);
    expect(await reservedPerToken({ messages: text(40_000) })).toBe(9_000);
  });

  test("waits until its intent is kept", async () => {
    const model = vi.fn(good);
    const { ledger, run } = harness([model]);
    let keep = (): void => {};
    ledger.beginning = new Promise((resolve) => {
      keep = resolve;
    });
    const running = drain(run());
    await new Promise((resolve) => setImmediate(resolve));
    expect(ledger.intents).toHaveLength(1);
    expect(model).not.toHaveBeenCalled();
    keep();
    await running;
    expect(model).toHaveBeenCalledTimes(1);
  });

  test("does not take place where the ledger refuses it, nor does another", async () => {
    const model = vi.fn(good);
    const { ledger, run } = harness([model, model]);
    ledger.beginning = Promise.reject(new GatewayError("ledger_unavailable", "full"));
    await expect(drain(run())).rejects.toMatchObject({ reason: "ledger_unavailable", status: 503 });
    expect(model).not.toHaveBeenCalled();
    expect(ledger.intents).toHaveLength(1);
    expect(ledger.endings).toEqual([]);
  });

  test("whose client leaves while its intent is written is released: nothing was sent", async () => {
    const model = vi.fn(good);
    const { ledger, run, leave } = harness([model]);
    ledger.beginning = new Promise((resolve) => setImmediate(resolve));
    const running = drain(run());
    leave();
    await expect(running).rejects.toMatchObject({ reason: "cancelled" });
    expect(model).not.toHaveBeenCalled();
    expect(ledger.settlements).toMatchObject([{ state: "released", usage: undefined, costNano: 0n, chargeNano: 0n }]);
  });

  test("that reached nobody is released, and the next one is settled", async () => {
    const refused: Generate = async function* () {
      yield* [];
      throw new GatewayError("provider_error", "connection refused", { undispatched: true });
    };
    const { ledger, run } = harness([refused, good]);
    await drain(run());
    expect(ledger.settlements).toMatchObject([
      { state: "released", outcome: "provider_error", usage: undefined, chargeNano: 0n },
      { state: "settled", outcome: "success" },
    ]);
    expect(ledger.intents.map(({ attempt }) => attempt)).toEqual([1, 2]);
  });

  test.each([
    ["success_only", 0n],
    ["all_attempts", "cost"],
  ] as const)("that failed after dispatch costs us in any case; under %s the tenant is charged %s", async (chargePolicy, charge) => {
    const broken: Generate = async function* (call) {
      call.attempt.httpStatus = 200;
      yield* batches({ end: false });
      throw new GatewayError("provider_error", "reset");
    };
    const { ledger, run } = harness([broken], { chargePolicy });
    await expect(drain(run())).rejects.toMatchObject({ reason: "provider_error" });
    const [settlement] = ledger.settlements;
    expect(settlement).toMatchObject({ state: "settled", status: "error", usage: { basis: UsageBasis.ESTIMATED } });
    expect(settlement?.costNano).toBeGreaterThan(0n);
    expect(settlement?.chargeNano).toBe(charge === "cost" ? settlement?.costNano : charge);
  });

  test("F4: whoever reads it may throw, it is settled", async () => {
    const { ledger, run, leave } = harness([slow().model]);
    await expect(
      (async () => {
        for await (const _ of run()) {
          leave();
          throw new Error("a tap that fails");
        }
      })(),
    ).rejects.toThrow("a tap that fails");
    expect(ledger.settlements).toMatchObject([{ state: "settled", status: "cancelled", usage: { basis: UsageBasis.ESTIMATED } }]);
  });

  test("F3: whoever leaves after the last word had a success", async () => {
    const { ledger, run, leave } = harness([good]);
    let seen = 0;
    for await (const _ of run()) {
      if (++seen < 2) continue;
      leave();
      break;
    }
    expect(ledger.settlements).toMatchObject([{ status: "success", usage: { outputTokens: 11, basis: UsageBasis.PROVIDER } }]);
  });

  test("P10: a clock that is set back an hour meanwhile makes no span negative and nobody end before the beginning", async () => {
    let now = 0;
    let wall = 1_700_000_000_000;
    const { ledger, run } = harness([good], { clock: { now: () => now, wall: () => wall } });
    for await (const _ of run()) {
      now += 40;
      wall -= 3_600_000;
    }
    const [intent] = ledger.intents;
    const [settlement] = ledger.settlements;
    expect(settlement).toMatchObject({ durationMs: now, endedAt: (intent?.startedAt ?? 0) + now });
  });

  test("tells each 1 000 tokens or 2 seconds what it has cost", async () => {
    let now = 0;
    const events = new EventBuilder();
    const model: Generate = async function* (call) {
      call.attempt.httpStatus = 200;
      yield* batches({ end: false });
      for (const [text, ms] of [
        ["short", 100],
        ["x".repeat(4_400), 100],
        ["short", 100],
        ["short", 2_000],
        ["short", 100],
      ] as const) {
        now += ms;
        events.text(0, 0, text);
        yield { events: events.take() };
      }
      events.push(finishedEvent({ candidate: 0, reason: FinishReason.STOP }));
      yield { events: events.take() };
    };
    const { ledger, run } = harness([model], { clock: { now: () => now, wall: () => 1_700_000_000_000 } });
    await drain(run());
    expect(ledger.checkpoints.map(({ outputTokens }) => outputTokens)).toEqual([1_113, 1_115]);
  });
});

describe("a client that leaves", () => {
  test("estimate: the upstream closes, and what came is billed to it", async () => {
    const { model, stopped } = slow();
    const { ledger, run, leave } = harness([model], { drains: poolOf() });
    await leaveAfterFirst(run(), leave);
    expect(stopped()).toBe(true);
    expect(ledger.settlements).toMatchObject([{ status: "cancelled", usage: { outputTokens: 11, basis: UsageBasis.ESTIMATED } }]);
    expect(ledger.settlements[0]?.chargeNano).toBe(ledger.settlements[0]?.costNano);
  });

  test("no_bill: the upstream closes, and nothing is billed", async () => {
    const { model, stopped } = slow();
    const { ledger, run, leave } = harness([model], { onDisconnect: "no_bill", drains: poolOf() });
    await leaveAfterFirst(run(), leave);
    expect(stopped()).toBe(true);
    expect(ledger.settlements).toMatchObject([{ state: "settled", status: "cancelled", usage: undefined, costNano: 0n, chargeNano: 0n }]);
  });

  test("drain: the upstream is read on for its own counts, and the attempt ends when it does", async () => {
    const { model, release, stopped } = slow();
    const drains = poolOf();
    const { ledger, run, leave } = harness([model], { onDisconnect: "drain", drains });
    await leaveAfterFirst(run(), leave);
    expect({ stopped: stopped(), running: drains.running, settled: ledger.settlements }).toEqual({
      stopped: false,
      running: 1,
      settled: [],
    });
    release();
    await vi.waitFor(() => expect(ledger.settlements).toHaveLength(1));
    expect(ledger.settlements).toMatchObject([
      { status: "cancelled", usage: { inputTokens: 9, outputTokens: 11, basis: UsageBasis.PROVIDER }, chargeNano: 31_000n },
    ]);
    expect(drains.running).toBe(0);
  });

  test("drain, while the next event is awaited: the client is let go at once", async () => {
    const { model, release } = slow();
    const { ledger, run, leave } = harness([model], { onDisconnect: "drain", drains: poolOf() });
    const iterator = run()[Symbol.asyncIterator]();
    await iterator.next();
    const waiting = iterator.next();
    leave();
    await expect(waiting).rejects.toMatchObject({ reason: "cancelled" });
    release();
    await vi.waitFor(() => expect(ledger.settlements).toMatchObject([{ status: "cancelled", usage: { basis: UsageBasis.PROVIDER } }]));
  });

  test("drain: a pool that is full closes and estimates", async () => {
    const [first, second] = [slow(), slow()];
    const drains = poolOf({ maxStreams: 1 });
    const one = harness([first.model], { onDisconnect: "drain", drains });
    const other = harness([second.model], { onDisconnect: "drain", drains });
    await leaveAfterFirst(one.run(), one.leave);
    await leaveAfterFirst(other.run(), other.leave);
    expect([first.stopped(), second.stopped()]).toEqual([false, true]);
    expect(other.ledger.settlements).toMatchObject([{ status: "cancelled", usage: { basis: UsageBasis.ESTIMATED } }]);
  });

  test("drain: its time and its tokens are bounded", async () => {
    const timed = slow();
    const { ledger, run, leave } = harness([timed.model], { onDisconnect: "drain", drains: poolOf({ maxMs: 20 }) });
    await leaveAfterFirst(run(), leave);
    await vi.waitFor(() => expect(ledger.settlements).toMatchObject([{ status: "cancelled", usage: { basis: UsageBasis.ESTIMATED } }]));
    expect(timed.stopped()).toBe(true);

    let given = 0;
    const endless: Generate = async function* (call) {
      call.attempt.httpStatus = 200;
      yield* batches({ end: false });
      const events = new EventBuilder();
      for (; given < 10_000; given++) {
        events.text(0, 0, answer);
        yield { events: events.take() };
      }
    };
    const long = harness([endless], { onDisconnect: "drain", drains: poolOf({ maxTokens: 100 }) });
    await leaveAfterFirst(long.run(), long.leave);
    await vi.waitFor(() => expect(long.ledger.settlements).toMatchObject([{ usage: { basis: UsageBasis.ESTIMATED } }]));
    expect(given).toBeLessThan(15);
  });

  test("drain: a deadline and a shutdown are no client that leaves", async () => {
    const { model, stopped } = slow();
    const { ledger, run, stop } = harness([model], { onDisconnect: "drain", drains: poolOf() });
    const iterator = run()[Symbol.asyncIterator]();
    await iterator.next();
    const waiting = iterator.next();
    stop(new GatewayError("timeout", "too long"));
    await expect(waiting).rejects.toMatchObject({ reason: "timeout" });
    expect(stopped()).toBe(true);
    expect(ledger.settlements).toMatchObject([{ status: "timeout" }]);
  });

  test("drain: closing the pool gives what runs its time, then stops it", async () => {
    const [ending, hanging] = [slow(), slow()];
    const drains = poolOf();
    const one = harness([ending.model], { onDisconnect: "drain", drains });
    const other = harness([hanging.model], { onDisconnect: "drain", drains });
    await leaveAfterFirst(one.run(), one.leave);
    await leaveAfterFirst(other.run(), other.leave);
    const closing = drains.close(50);
    ending.release();
    await closing;
    expect(one.ledger.settlements).toMatchObject([{ usage: { basis: UsageBasis.PROVIDER } }]);
    expect(other.ledger.settlements).toMatchObject([{ usage: { basis: UsageBasis.ESTIMATED } }]);
  });
});
