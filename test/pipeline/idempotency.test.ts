/** Calls with an idempotency key: who meets whom, what is kept, and what happens while the store is away. */
import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { CallOptionsSchema } from "../../gen/dragoman/v1/call_pb.ts";
import { type EmbedRequest, EmbedRequestSchema, type EmbedResponse, EmbedResponseSchema } from "../../gen/dragoman/v1/embed_pb.ts";
import { BlockKind, FinishReason, type GenerateRequest, GenerateRequestSchema } from "../../gen/dragoman/v1/generate_pb.ts";
import { AttemptSchema, AttemptStatus, TranslationNoteSchema, UsageSchema } from "../../gen/dragoman/v1/usage_pb.ts";
import type { Call } from "../../src/core/call.ts";
import { systemClock } from "../../src/core/clock.ts";
import { GatewayError } from "../../src/core/error.ts";
import { type EventBatch, EventBuilder, finishedEvent, startedEvent } from "../../src/core/event.ts";
import { createPrincipal } from "../../src/core/principal.ts";
import { createCallStarter } from "../../src/pipeline/call-starter.ts";
import { type IdempotencyOptions, idempotentEmbed, idempotentStream } from "../../src/pipeline/idempotency.ts";
import type { Step } from "../../src/pipeline/stage.ts";
import { unsharedIdempotency } from "../../src/pipeline/unshared-idempotency.ts";
import { MemoryIdempotency } from "./memory-idempotency.ts";

type Generate = Step<GenerateRequest, AsyncIterable<EventBatch>>;

/** A time that tests move; calls begin and end by the same. */
class Clock {
  time = 1_000_000;
  now = () => this.time;
  wall = () => this.time;
}

function harness(next: Generate, options: Partial<IdempotencyOptions> = {}) {
  const store = new MemoryIdempotency();
  const clock = new Clock();
  const warnings: string[] = [];
  const log = { debug() {}, info() {}, warn: (message: string) => void warnings.push(message), error() {} };
  let dispatched = 0;
  const counting: Generate = (request, call) => {
    dispatched++;
    return next(request, call);
  };
  const step = idempotentStream({ store, clock, log, keepMs: 86_400_000, maxAnswerBytes: 1 << 20, ...options })(counting);
  return { store, clock, warnings, step, dispatched: () => dispatched };
}

function startCall({ key = "k", tenant = "default", id = "key-1", signal = new AbortController().signal, clock = new Clock() } = {}): Call {
  const starter = createCallStarter({ clock, maxTimeoutMs: 60_000 });
  const principal = createPrincipal({ id, tenant, scopes: new Set(["*"]) });
  const options = create(CallOptionsSchema, { idempotencyKey: key });
  const { call, end } = starter.start({
    ...{ operation: "generate", surface: "v1", dialect: "openai-chat", principal, options, clientSignal: signal },
    header: () => undefined,
  });
  end();
  return call;
}

const request = (text = "hi") =>
  create(GenerateRequestSchema, { model: "m", messages: [{ parts: [{ part: { case: "text", value: text } }] }] });

async function* answer(): AsyncGenerator<EventBatch> {
  const builder = new EventBuilder();
  builder.push(startedEvent({ generationId: "g1", requestId: "r1" }));
  const index = builder.startBlock(0, BlockKind.TEXT);
  builder.text(0, index, "hel");
  yield { events: builder.take(), raw: Buffer.from("raw") };
  builder.text(0, index, "lo");
  builder.endBlock(0, index);
  yield { events: [...builder.take(), finishedEvent({ candidate: 0, reason: FinishReason.STOP })] };
}

async function readAll(batches: AsyncIterable<EventBatch>): Promise<EventBatch[]> {
  const all: EventBatch[] = [];
  for await (const batch of batches) all.push(batch);
  return all;
}

async function failureOf(batches: AsyncIterable<EventBatch>): Promise<GatewayError> {
  try {
    await readAll(batches);
  } catch (error) {
    if (error instanceof GatewayError) return error;
    throw error;
  }
  throw new Error("it succeeded");
}

test("a call without a key never meets the store", async () => {
  const { step, store, dispatched } = harness(answer);
  store.failure = new Error("away");
  for (let round = 0; round < 2; round++) expect(await readAll(step(request(), startCall({ key: "" })))).toHaveLength(2);
  expect(dispatched()).toBe(2);
});

test("a replay has the same batches, says that it is one, and has the id of its own call", async () => {
  const seen: unknown[] = [];
  const { step, dispatched } = harness((_, call) => {
    seen.push(call.wire);
    return answer();
  });
  const original = await readAll(step(request(), { ...startCall(), wire: { format: "openai-chat", body: {}, includeUsage: true } }));
  const second = startCall();
  const repeat = await readAll(step(request(), second));
  expect(seen).toEqual([undefined]);
  expect(repeat.map(({ events }) => events.slice(events[0]?.event.case === "started" ? 1 : 0))).toEqual(
    original.map(({ events }) => events.slice(events[0]?.event.case === "started" ? 1 : 0)),
  );
  expect(repeat[0]?.events[0]?.event.value).toMatchObject({ generationId: "g1", requestId: second.requestId, replayed: true });
  expect(dispatched()).toBe(1);
});

test("what was lost in translation is told again", async () => {
  const note = create(TranslationNoteSchema, { path: "sampling.top_k", format: "openai-chat" });
  const { step } = harness(async function* () {
    yield { events: [startedEvent({ translation: [note] }), finishedEvent({ candidate: 0 })] };
  });
  await readAll(step(request(), startCall()));
  const repeat = startCall();
  await readAll(step(request(), repeat));
  expect(repeat.translation).toEqual([note]);
});

describe("keys are of one tenant, one caller, one wire format and one part of a request", () => {
  test.each<[string, (call: Call) => Call]>([
    ["another tenant", (call) => ({ ...call, principal: { ...call.principal, tenant: "other" } })],
    ["another caller", (call) => ({ ...call, principal: { ...call.principal, id: "key-2" } })],
    ["another format", (call) => ({ ...call, dialect: "anthropic-messages" })],
    ["another prompt of the same request", (call) => ({ ...call, part: 1 })],
  ])("%s", async (_, change) => {
    const { step, dispatched } = harness(answer);
    await readAll(step(request("one"), startCall()));
    await readAll(step(request("two"), change(startCall())));
    expect(dispatched()).toBe(2);
  });

  test.each<[string, (call: Call) => Call]>([
    ["whole instead of streamed", (call) => ({ ...call, operation: "complete" })],
    ["strict", (call) => ({ ...call, options: create(CallOptionsSchema, { idempotencyKey: "k", strict: true }) })],
  ])("the same call in another form is refused: %s", async (_, change) => {
    const { step } = harness(answer);
    await readAll(step(request(), startCall()));
    expect((await failureOf(step(request(), change(startCall())))).reason).toBe("idempotency_mismatch");
  });

  test("how long a repeat would wait and for whom makes no difference", async () => {
    const { step, dispatched } = harness(answer);
    await readAll(step(request(), startCall()));
    const patient = { ...startCall(), options: create(CallOptionsSchema, { idempotencyKey: "k", timeoutMs: 5_000 }) };
    await readAll(step({ ...request(), attribution: patient.attribution }, patient));
    expect(dispatched()).toBe(1);
  });
});

test("a key is kept for a day; one whose process died is free a minute after the call's deadline", async () => {
  const { step, clock, dispatched } = harness(answer);
  await readAll(step(request(), startCall({ clock })));
  clock.time += 86_400_000;
  await readAll(step(request(), startCall({ clock })));
  expect(dispatched()).toBe(2);
  const dying = step(request(), startCall({ clock, key: "dead" }))[Symbol.asyncIterator]();
  await dying.next();
  clock.time += 60_000 + 59_000;
  expect((await failureOf(step(request(), startCall({ clock, key: "dead" })))).reason).toBe("idempotency_in_flight");
  clock.time += 1_000;
  await readAll(step(request(), startCall({ clock, key: "dead" })));
  expect(dispatched()).toBe(4);
});

test("a key that is kept for less than its call runs is taken for as long as that runs", async () => {
  const { step, clock } = harness(answer, { keepMs: 1_000 });
  const running = step(request(), startCall({ clock }))[Symbol.asyncIterator]();
  await running.next();
  clock.time += 30_000;
  expect((await failureOf(step(request(), startCall({ clock })))).reason).toBe("idempotency_in_flight");
});

describe("failures", () => {
  const failing = (error: GatewayError, billed: boolean): Generate =>
    async function* (_, call) {
      const usage = billed ? { usage: create(UsageSchema, { inputTokens: 1 }) } : {};
      call.attempts.push(create(AttemptSchema, { status: AttemptStatus.ERROR, ...usage }));
      yield* [] as EventBatch[];
      throw error;
    };

  test("without a bill leave the key free", async () => {
    const { step, store, dispatched } = harness(failing(new GatewayError("rate_limited", "later"), false));
    for (let round = 0; round < 2; round++) expect((await failureOf(step(request(), startCall()))).reason).toBe("rate_limited");
    expect([dispatched(), store.entries.size]).toEqual([2, 0]);
  });

  test("with a bill are kept, and said again", async () => {
    const { step, dispatched } = harness(failing(new GatewayError("provider_error", "it broke", { status: 502 }), true));
    await failureOf(step(request(), startCall()));
    const repeat = await failureOf(step(request(), startCall()));
    expect(repeat).toMatchObject({ reason: "provider_error", message: "it broke", status: 502, retryable: false });
    expect(repeat.details.headers).toEqual({ "idempotent-replayed": "true" });
    expect(dispatched()).toBe(1);
  });

  test("a client that left after the first words must choose a new key", async () => {
    const { step, dispatched } = harness(answer);
    for await (const _ of step(request(), startCall())) break;
    expect(await failureOf(step(request(), startCall()))).toMatchObject({ reason: "not_replayable", status: 409 });
    expect(dispatched()).toBe(1);
  });

  test("a client that left before the first word, while its stream is read on for the bill, must too", async () => {
    const { step, dispatched } = harness(async function* (_, call) {
      // No status yet: the attempt is not over.
      call.attempts.push(create(AttemptSchema, { usageId: "u-1" }));
      yield* [] as EventBatch[];
      throw new GatewayError("cancelled", "the client went away");
    });
    expect((await failureOf(step(request(), startCall()))).reason).toBe("cancelled");
    expect(await failureOf(step(request(), startCall()))).toMatchObject({ reason: "not_replayable", status: 409 });
    expect(dispatched()).toBe(1);
  });

  test("an answer that is too large is given, and cannot be given again", async () => {
    const { step } = harness(answer, { maxAnswerBytes: 50 });
    expect(await readAll(step(request(), startCall()))).toHaveLength(2);
    expect(await failureOf(step(request(), startCall()))).toMatchObject({ reason: "not_replayable", status: 409 });
  });

  test("a store that is away refuses the call before it costs anything", async () => {
    const { step, store, dispatched } = harness(answer);
    store.failure = new GatewayError("store_unavailable", "the database is away");
    expect(await failureOf(step(request(), startCall()))).toMatchObject({ reason: "store_unavailable", status: 503 });
    expect(dispatched()).toBe(0);
  });

  test("workers that share no store refuse keys instead of running one twice", async () => {
    const { step, dispatched } = harness(answer, { store: unsharedIdempotency });
    expect(await failureOf(step(request(), startCall()))).toMatchObject({ reason: "store_unavailable", status: 503, retryable: false });
    expect(dispatched()).toBe(0);
  });

  test("a store that goes away meanwhile does not cost the client its answer; the log says so", async () => {
    const { step, store, warnings } = harness(async function* () {
      store.failure = new Error("gone");
      yield* answer();
    });
    expect(await readAll(step(request(), startCall()))).toHaveLength(2);
    expect(warnings).toEqual(["the end of a call with an idempotency key could not be kept; its key is taken until it times out"]);
    store.failure = undefined;
    expect((await failureOf(step(request(), startCall()))).reason).toBe("idempotency_in_flight");
  });
});

describe("embeddings", () => {
  function embedder(next: Step<EmbedRequest, Promise<EmbedResponse>>, maxAnswerBytes = 1 << 20) {
    const store = new MemoryIdempotency();
    const log = { debug() {}, info() {}, warn() {}, error() {} };
    return { store, step: idempotentEmbed({ store, clock: systemClock, log, keepMs: 60_000, maxAnswerBytes })(next) };
  }
  const embed = (value = "x") => create(EmbedRequestSchema, { model: "m", inputs: [{ input: { case: "text", value } }] });
  const call = () => ({ ...startCall(), operation: "embed" as const });

  test("are replayed with their notes", async () => {
    let runs = 0;
    const note = create(TranslationNoteSchema, { path: "dimensions" });
    const { step } = embedder(async (_, running) => {
      runs++;
      running.translation.push(note);
      return create(EmbedResponseSchema, { requestId: running.requestId, embeddings: [{ values: [0.5, 0.25] }], dimensions: 2 });
    });
    const original = await step(embed(), call());
    const second = call();
    const { settled, ...repeat } = await step(embed(), second);
    expect(repeat).toEqual({ ...original, requestId: second.requestId, replayed: true });
    expect(settled).toMatchObject({ costNanoUsd: 0n, translation: [note], attempts: [] });
    expect(second.translation).toEqual([note]);
    await expect(step(embed("y"), call())).rejects.toMatchObject({ reason: "idempotency_mismatch" });
    expect(runs).toBe(1);
  });

  test("that fail without a bill may be tried again; too large ones cannot be repeated", async () => {
    const { step, store } = embedder(() => Promise.reject(new GatewayError("no_target", "none")));
    await expect(step(embed(), call())).rejects.toMatchObject({ reason: "no_target" });
    expect(store.entries.size).toBe(0);
    const large = embedder(async () => create(EmbedResponseSchema, { servedModel: "m".repeat(100) }), 50);
    await large.step(embed(), call());
    await expect(large.step(embed(), call())).rejects.toMatchObject({ reason: "not_replayable" });
  });
});
