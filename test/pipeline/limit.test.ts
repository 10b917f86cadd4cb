import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { GenerateRequestSchema, Role } from "../../gen/dragoman/v1/generate_pb.ts";
import { AttemptSchema, AttemptStatus, UsageSchema } from "../../gen/dragoman/v1/usage_pb.ts";
import type { Call } from "../../src/core/call.ts";
import { systemClock } from "../../src/core/clock.ts";
import { GatewayError } from "../../src/core/error.ts";
import type { EventBatch } from "../../src/core/event.ts";
import type { LimitAmounts, LimitClaim, Limiter } from "../../src/core/limits.ts";
import type { Price } from "../../src/core/pricing.ts";
import { AttemptEndings } from "../../src/pipeline/attempt-endings.ts";
import { limitStream } from "../../src/pipeline/limit.ts";
import { startCall } from "../providers/calls.ts";

/** Counts what is held, and notes what was reserved and settled. */
function watch(answer?: GatewayError) {
  const reserved: LimitAmounts[] = [];
  const settled: LimitAmounts[] = [];
  let held = 0;
  const claim: LimitClaim = {
    needsCost: true,
    needsBytes: true,
    reserve(estimate) {
      if (answer !== undefined) throw answer;
      held++;
      reserved.push(estimate);
      return {
        levels: [],
        bytes: estimate.bytes,
        settle(actual) {
          held--;
          settled.push(actual);
        },
      };
    },
  };
  const limiter: Limiter = { idle: false, claim: () => claim };
  return { limiter, reserved, settled, held: () => held };
}

const price: Price = { tiers: [{ aboveInputTokens: 0, rates: { input: 1_000_000n, output: 10_000_000n } }], version: "1", source: "test" };

function stageOf(limiter: Limiter, endings = new AttemptEndings()) {
  return limitStream({ limiter, prices: { price: () => price }, clock: systemClock, outputEstimate: 1_000, endings });
}

const request = (maxOutputTokens?: number) =>
  create(GenerateRequestSchema, {
    model: "m",
    messages: [{ role: Role.USER, parts: [{ part: { case: "text", value: "x".repeat(400) } }] }],
    ...(maxOutputTokens === undefined ? {} : { sampling: { maxOutputTokens } }),
  });

function call(): Call {
  return { ...startCall(), limits: [], targets: [{ id: "p/m", provider: "p", model: "m", traits: {} }] };
}

const batch: EventBatch = { events: [] };

async function* endless(): AsyncGenerator<EventBatch> {
  for (;;) yield batch;
}

async function* failing(): AsyncGenerator<EventBatch> {
  yield batch;
  throw new GatewayError("provider_error", "broke");
}

describe("the limits of a stream", () => {
  test("without a rule the next step is all there is", () => {
    const stream = endless();
    for (const idle of [true, false]) {
      const stage = stageOf({ idle, claim: () => undefined })(() => stream);
      expect(stage(request(), call())).toBe(stream);
    }
  });

  test("are reserved before the next step runs, by the caps the request names", async () => {
    const { limiter, reserved } = watch();
    let reservedThen = -1;
    const stage = stageOf(limiter)(() => {
      reservedThen = reserved.length;
      return endless();
    });
    const iterator = stage(request(200), call())[Symbol.asyncIterator]();
    await iterator.next();
    await iterator.return?.();
    expect(reservedThen).toBe(1);
    expect(reserved[0]).toMatchObject({ inputTokens: 104, outputTokens: 200, costNano: 104n + 2_000n });
    expect(reserved[0]?.bytes).toBeGreaterThan(400);
  });

  test("are refused before the next step runs", async () => {
    const { limiter } = watch(new GatewayError("rate_limited", "full"));
    let ran = false;
    const stage = stageOf(limiter)(() => {
      ran = true;
      return endless();
    });
    await expect(stage(request(), call())[Symbol.asyncIterator]().next()).rejects.toMatchObject({ reason: "rate_limited" });
    expect(ran).toBe(false);
  });

  test("are free after 10 000 calls that ended in every way", async () => {
    const { limiter, held, settled } = watch();
    const stages = [endless, failing].map((source) => stageOf(limiter)(source));
    for (let index = 0; index < 10_000; index++) {
      const iterator = stages[index % 2]?.(request(), call())[Symbol.asyncIterator]();
      const reads = index % 3;
      for (let read = 0; read < reads; read++) await iterator?.next().catch(() => undefined);
      await iterator?.return?.();
    }
    expect(held()).toBe(0);
    expect(settled.length).toBeGreaterThan(6_000);
  });

  test("are settled with what every attempt was billed, failed ones too", async () => {
    const { limiter, settled } = watch();
    const running = call();
    const stage = stageOf(limiter)(async function* (_request, { attempts }) {
      const usage = create(UsageSchema, { inputTokens: 10, outputTokens: 5 });
      attempts.push(create(AttemptSchema, { status: AttemptStatus.ERROR, usage, costNanoUsd: 60n }));
      attempts.push(create(AttemptSchema, { status: AttemptStatus.SUCCESS, usage, costNanoUsd: 60n }));
      yield batch;
    });
    for await (const _ of stage(request(), running));
    expect(settled).toMatchObject([{ inputTokens: 20, outputTokens: 10, costNano: 120n }]);
  });

  test("wait for a stream that is read on after its client left", async () => {
    const endings = new AttemptEndings();
    const { limiter, settled, held } = watch();
    const attempt = create(AttemptSchema, { usageId: "u-1" });
    const running = call();
    const stage = stageOf(
      limiter,
      endings,
    )((_request, { attempts }) => {
      attempts.push(attempt);
      return endless();
    });
    const iterator = stage(request(), running)[Symbol.asyncIterator]();
    await iterator.next();
    await iterator.return?.();
    expect(held()).toBe(1);
    attempt.status = AttemptStatus.CANCELLED;
    attempt.usage = create(UsageSchema, { inputTokens: 7, outputTokens: 9 });
    endings.ended(attempt);
    expect(settled).toMatchObject([{ inputTokens: 7, outputTokens: 9 }]);
  });
});
