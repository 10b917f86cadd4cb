import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { CallOptionsSchema } from "../../gen/dragoman/v1/call_pb.ts";
import { EmbeddingSchema, EmbedRequestSchema, EmbedResponseSchema } from "../../gen/dragoman/v1/embed_pb.ts";
import { BlockKind, FinishReason, GenerateRequestSchema, Role } from "../../gen/dragoman/v1/generate_pb.ts";
import { type Attempt, AttemptStatus, UsageBasis, UsageSchema } from "../../gen/dragoman/v1/usage_pb.ts";
import type { AttemptCall, Call } from "../../src/core/call.ts";
import { systemClock } from "../../src/core/clock.ts";
import { GatewayError } from "../../src/core/error.ts";
import { type EventBatch, EventBuilder, finishedEvent, startedEvent, usageEvent } from "../../src/core/event.ts";
import type { CallOutcome } from "../../src/core/ledger.ts";
import { createPrincipal } from "../../src/core/principal.ts";
import type { Provider } from "../../src/core/provider.ts";
import type { Scope } from "../../src/core/scope.ts";
import { createCallStarter } from "../../src/pipeline/call-starter.ts";
import { createOperations } from "../../src/pipeline/operations.ts";
import { createRouter } from "../../src/routing/router.ts";
import { createMemorySignatures } from "../../src/stores/memory-signatures.ts";
import { MemoryIdempotency } from "./memory-idempotency.ts";

type Generate = (call: AttemptCall) => AsyncIterable<EventBatch>;

/** A provider whose models are functions. */
function providerOf(models: Record<string, Generate>): Provider {
  return {
    name: "p",
    traits: () => ({}),
    close: async () => {},
    generate: (_, target, call) => (models[target.model] as Generate)(call),
    embed: async (request) =>
      create(EmbedResponseSchema, {
        embeddings: request.inputs.slice(1).map((_, index) => create(EmbeddingSchema, { index, values: [1] })),
      }),
  };
}

function harness(models: Record<string, Generate>, { maxQueue = 10 } = {}) {
  const attempts: Attempt[] = [];
  const outcomes: CallOutcome[] = [];
  const operations = createOperations({
    router: createRouter({
      providers: new Map([["p", providerOf(models)]]),
      routes: { all: { strategy: "fallback", maxAttempts: 3, targets: Object.keys(models).map((model) => ({ provider: "p", model })) } },
      aliases: {},
      models: {},
      catalog: { find: () => [], list: () => [] },
      maxAttempts: 3,
    }),
    ledger: {
      begin: () => undefined,
      checkpoint() {},
      settle: ({ attempt }) => void attempts.push(structuredClone({ ...attempt })),
      callEnded: (outcome) => void outcomes.push(outcome),
    },
    clock: systemClock,
    idempotency: {
      store: new MemoryIdempotency(),
      clock: systemClock,
      log: { debug() {}, info() {}, warn() {}, error() {} },
      keepMs: 60_000,
      maxAnswerBytes: 1 << 20,
    },
    retryableStatusCodes: new Set([429, 500, 503]),
    maxQueue,
    node: "",
    relay: true,
    signatures: createMemorySignatures({ maxBytes: 1 << 20, maxCallBytes: 1 << 16, ttlMs: 60_000, clock: systemClock }),
  });
  return { operations, attempts, outcomes };
}

const gone = new AbortController().signal;

function startCall({
  signal = gone,
  scopes = ["*"] as Scope[],
  headers = {} as Record<string, string>,
  operation = "generate" as const,
} = {}): Call {
  const starter = createCallStarter({ clock: systemClock, maxTimeoutMs: 60_000 });
  const { call } = starter.start({
    operation,
    surface: "rpc",
    dialect: "dragoman",
    principal: createPrincipal({ id: "tester", scopes: new Set(scopes) }),
    header: (name) => headers[name],
    clientSignal: signal,
  });
  return call;
}

const request = (model = "p/good") =>
  create(GenerateRequestSchema, {
    model,
    messages: [{ role: Role.USER, parts: [{ part: { case: "text", value: "Hello there, friend" } }] }],
  });

async function* good(call: AttemptCall): AsyncGenerator<EventBatch> {
  call.attempt.httpStatus = 200;
  const events = new EventBuilder();
  events.push(startedEvent({ upstreamId: "u1" }));
  const text = events.startBlock(0, BlockKind.TEXT);
  yield { events: events.take() };
  for (const word of ["Hel", "lo"]) {
    events.text(0, text, word);
    yield { events: events.take() };
  }
  events.endOpenBlocks();
  events.push(usageEvent(create(UsageSchema, { inputTokens: 7, outputTokens: 2, basis: UsageBasis.PROVIDER })));
  events.push(finishedEvent({ reason: FinishReason.STOP }));
  yield { events: events.take() };
}

function failing(error: GatewayError, after: (call: AttemptCall) => EventBatch[] = () => []): Generate {
  return async function* (call) {
    yield* after(call);
    throw error;
  };
}

async function collect(stream: AsyncIterable<EventBatch>): Promise<EventBatch[]> {
  const batches: EventBatch[] = [];
  for await (const batch of stream) batches.push(batch);
  return batches;
}

async function failureOf(promise: Promise<unknown>): Promise<GatewayError> {
  const thrown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (thrown instanceof GatewayError) return thrown;
  throw new Error(`expected a GatewayError, got ${String(thrown)}`);
}

describe("generate", () => {
  test("gives the events in order with rising sequences, and settles", async () => {
    const { operations, attempts, outcomes } = harness({ good });
    const batches = await collect(operations.generate(request(), startCall()));
    const events = batches.flatMap((batch) => batch.events);
    expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, index) => index + 1));
    expect(events.map(({ event }) => event.case)).toEqual([
      ...["started", "blockStarted", "blockDelta", "blockDelta", "blockEnded", "usage", "finished", "settled"],
    ]);
    const started = events[0]?.event.value;
    expect(started).toMatchObject({
      provider: "p",
      target: "p/good",
      servedModel: "good",
      requestedModel: "p/good",
      attempt: 1,
      usedFallback: false,
    });
    expect(events.at(-1)?.event.value).toMatchObject({
      usage: { inputTokens: 7, outputTokens: 2 },
      attempts: [{ number: 1, status: AttemptStatus.SUCCESS }],
    });
    expect(attempts).toHaveLength(1);
    expect(outcomes).toMatchObject([{ error: undefined }]);
    expect(operations.admission.inflight).toBe(0);
  });

  test("the first batch comes at the commit point, not before", async () => {
    const { operations } = harness({ good });
    const [first] = await collect(operations.generate(request(), startCall()));
    expect(first?.events.map(({ event }) => event.case)).toEqual(["started", "blockStarted", "blockDelta"]);
  });

  test("a failure before content moves on to the next target, and both attempts are recorded", async () => {
    const begun = (call: AttemptCall): EventBatch[] => {
      call.attempt.httpStatus = 200;
      return [{ events: [startedEvent({})] }];
    };
    const { operations, attempts } = harness({ bad: failing(new GatewayError("provider_error", "broke"), begun), good });
    const batches = await collect(operations.generate(request("all"), startCall()));
    expect(batches[0]?.events[0]?.event.value).toMatchObject({ target: "p/good", attempt: 2, usedFallback: true, route: "all" });
    expect(attempts.map(({ target, status, errorReason }) => [target, status, errorReason])).toEqual([
      ["p/bad", AttemptStatus.ERROR, "PROVIDER_ERROR"],
      ["p/good", AttemptStatus.SUCCESS, ""],
    ]);
    // The first target had begun to work: what it may have billed is estimated, not zero.
    expect(attempts[0]?.usage).toMatchObject({ basis: UsageBasis.ESTIMATED, outputTokens: 0 });
    expect(attempts[0]?.usage?.inputTokens).toBeGreaterThan(0);
  });

  test("a failure after content ends the stream: no other target, and the error says what was delivered", async () => {
    async function* breaks(call: AttemptCall): AsyncGenerator<EventBatch> {
      const source = good(call);
      for (let count = 0; count < 2; count++) yield (await source.next()).value as EventBatch;
      throw new GatewayError("provider_error", "reset");
    }
    const { operations, attempts } = harness({ breaks, good });
    const error = await failureOf(collect(operations.generate(request("all"), startCall())));
    expect(error).toMatchObject({ reason: "provider_error", committed: true, lastSequence: 3 });
    expect(error.settled?.usage).toMatchObject({ outputTokens: 1, basis: UsageBasis.ESTIMATED });
    expect(attempts).toHaveLength(1);
  });

  test.each([
    ["what cannot be repeated", failing(new GatewayError("invalid_request", "no")), "invalid_request", 1],
    ["a status that is not on the list", failing(new GatewayError("provider_error", "no", upstream(418))), "provider_error", 1],
    ["a status that is on the list", failing(new GatewayError("provider_error", "no", upstream(503))), "provider_error", 3],
    ["an error inside a 200", failing(new GatewayError("provider_error", "no", upstream(200))), "provider_error", 3],
    ["an answer without content", failing(new GatewayError("provider_error", "no", upstream(0))), "provider_error", 3],
  ] as const)("after %s", async (_, model, reason, tries) => {
    const { operations, attempts } = harness({ a: model, b: model, c: model, d: model });
    expect((await failureOf(operations.complete(request("all"), startCall()))).reason).toBe(reason);
    expect(attempts).toHaveLength(tries);
  });

  test("an empty answer is a failure", async () => {
    const { operations } = harness({ empty: async function* () {}, good });
    const { response } = await operations.complete(request("all"), startCall());
    expect(response.started?.target).toBe("p/good");
  });

  test("a consumer that leaves closes the upstream and is recorded as cancelled with what it got", async () => {
    let closed = false;
    const { operations, attempts, outcomes } = harness({
      async *good(call) {
        try {
          yield* good(call);
        } finally {
          closed = true;
        }
      },
    });
    for await (const _ of operations.generate(request(), startCall())) break;
    expect(closed).toBe(true);
    expect(attempts).toMatchObject([{ status: AttemptStatus.CANCELLED, usage: { outputTokens: 1, basis: UsageBasis.ESTIMATED } }]);
    expect(outcomes.map(({ error }) => error?.reason)).toEqual(["cancelled"]);
    expect(operations.admission.inflight).toBe(0);
  });

  test("a deadline is a timeout, whatever the provider threw", async () => {
    const { operations } = harness({
      async *slow(call) {
        await new Promise((_, reject) => call.signal.addEventListener("abort", () => reject(new Error("socket closed"))));
        yield { events: [] };
      },
    });
    const call = startCall({ headers: { "x-dragoman-timeout-ms": "30" } });
    expect(await failureOf(operations.complete(request("p/slow"), call))).toMatchObject({ reason: "timeout" });
  });

  test("explain answers with the plan and bills nothing", async () => {
    const { operations, attempts } = harness({
      async *good() {
        yield { events: [startedEvent({})] };
      },
    });
    const call = startCall({ headers: { "x-dragoman-explain": "true" } });
    const events = (await collect(operations.generate(request(), call))).flatMap((batch) => batch.events);
    expect(events.map(({ event }) => event.case)).toEqual(["started", "settled"]);
    expect(attempts).toMatchObject([{ status: AttemptStatus.SUCCESS }]);
    expect(attempts[0]?.usage).toBeUndefined();
  });
});

describe("what an attempt is billed for", () => {
  test("nothing where the gateway itself refused before anything was sent", async () => {
    const { operations, attempts } = harness({ refuses: failing(new GatewayError("invalid_request", "a field is wrong")) });
    const error = await failureOf(operations.complete(request("p/refuses"), startCall()));
    expect(attempts[0]?.usage).toBeUndefined();
    expect(error.settled?.usage).toBeUndefined();
  });

  test("the provider's own counts where they were complete when the client left", async () => {
    const { operations, attempts } = harness({
      async *good() {
        const events = new EventBuilder();
        events.push(startedEvent({}));
        const text = events.startBlock(0, BlockKind.TEXT);
        events.text(0, text, "Все люди рождаются свободными и равными");
        events.endOpenBlocks();
        events.push(finishedEvent({ reason: FinishReason.STOP }));
        events.push(usageEvent(create(UsageSchema, { inputTokens: 3, outputTokens: 9, basis: UsageBasis.PROVIDER })));
        yield { events: events.take() };
        yield { events: [] };
      },
    });
    for await (const _ of operations.generate(request(), startCall())) break;
    expect(attempts[0]?.usage).toMatchObject({ outputTokens: 9, basis: UsageBasis.PROVIDER });
  });
});

describe("admission", () => {
  test("a key without the scope is refused before anything is sent", async () => {
    const { operations, attempts } = harness({ good });
    const error = await failureOf(operations.complete(request(), startCall({ scopes: ["embed"] })));
    expect(error).toMatchObject({ reason: "forbidden", status: 403 });
    expect(attempts).toHaveLength(0);
  });

  test("one call too many of a model is refused with a time to come back, and there is room again afterwards", async () => {
    const { operations } = harness({ good }, { maxQueue: 1 });
    const running = operations.generate(request(), startCall())[Symbol.asyncIterator]();
    await running.next();
    const error = await failureOf(operations.complete(request(), startCall()));
    expect(error).toMatchObject({ reason: "queue_full", status: 429, details: { retryAfterMs: 1_000 } });
    await running.return?.();
    await expect(operations.complete(request(), startCall())).resolves.toBeDefined();
  });

  test.each([["policy", "policy_not_found"]])("what cannot be kept is refused, not ignored: %s", async (header, reason) => {
    const { operations } = harness({ good });
    const call = startCall({ headers: { [`x-dragoman-${header}`]: "something" } });
    expect((await failureOf(operations.complete(request(), call))).reason).toBe(reason);
  });
});

describe("embed", () => {
  test("a provider that gives too few vectors is an error of the provider", async () => {
    const { operations, attempts } = harness({ good });
    const embed = create(EmbedRequestSchema, {
      model: "p/x",
      inputs: ["a", "b"].map((value) => ({ input: { case: "text" as const, value } })),
    });
    const error = await failureOf(operations.embed(embed, startCall()));
    expect(error).toMatchObject({ reason: "provider_error", message: "p gave 1 vectors for 2" });
    expect(attempts).toMatchObject([{ status: AttemptStatus.ERROR }]);
  });
});

describe("the call starter", () => {
  test("takes facts from headers, and refuses what the request states differently", () => {
    expect(startCall({ headers: { "x-dragoman-user-id": " u1 ", "x-dragoman-env": "staging" } }).attribution).toMatchObject({
      endUserId: "u1",
      environment: 2,
    });
    const starter = createCallStarter({ clock: systemClock, maxTimeoutMs: 1_000 });
    const start = (header: string) =>
      starter.start({
        ...startCall(),
        clientSignal: gone,
        header: (name) => (name === "x-dragoman-provider" ? header : undefined),
        options: create(CallOptionsSchema, { provider: "a" }),
      });
    expect(() => start("b")).toThrow(expect.objectContaining({ reason: "conflicting_attribution" }));
    start("a").end();
  });

  test.each([
    ["x-dragoman-timeout-ms", "soon"],
    ["x-dragoman-timeout-ms", "0"],
    ["x-dragoman-env", "moon"],
    ["x-dragoman-strict", "yes"],
    ["x-dragoman-plan", "x".repeat(257)],
    ["x-dragoman-plan", "a\tb"],
  ])("refuses %s: %j by name", (name, value) => {
    expect(() => startCall({ headers: { [name]: value } })).toThrow(`the header ${name} must`);
  });

  test.each([
    ["abc-1", "abc-1"],
    ["with space", undefined],
    ["x".repeat(129), undefined],
  ])("x-request-id %j", (sent, kept) => {
    const call = startCall({ headers: { "x-request-id": sent } });
    expect(call.clientRequestId).toBe(kept ?? call.requestId);
    expect(call.requestId).toMatch(/^[0-9A-HJKMNP-TV-Z]{26}$/);
  });
});

function upstream(httpStatus: number) {
  return {
    upstream: { provider: "p", httpStatus, type: "", code: "", message: "", param: "", requestId: "", midStream: false, bodyJson: "" },
  };
}
