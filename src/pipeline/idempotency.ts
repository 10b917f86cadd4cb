/**
 * Calls with an idempotency key run once (reliability.md 3, rule 7). A repeat with the same request gets the recorded
 * answer and is charged nothing; with another request, or while the first still runs, it is refused.
 *
 * A failure is kept only where something may have been billed, so that a repeat cannot pay twice without knowing; every
 * other failure leaves the key free, and the same call may be tried again.
 */
import { createHash } from "node:crypto";
import { create, type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { type CallOptions, CallOptionsSchema } from "../../gen/dragoman/v1/call_pb.ts";
import { type EmbedRequest, EmbedRequestSchema, type EmbedResponse, EmbedResponseSchema } from "../../gen/dragoman/v1/embed_pb.ts";
import { type GenerateRequest, GenerateRequestSchema } from "../../gen/dragoman/v1/generate_pb.ts";
import { SettledSchema } from "../../gen/dragoman/v1/usage_pb.ts";
import { type Call, stopReason } from "../core/call.ts";
import type { Clock } from "../core/clock.ts";
import { GatewayError, type Reason, reasons } from "../core/error.ts";
import type { EventBatch, GenerateEvent } from "../core/event.ts";
import type { IdempotencyId, IdempotencyStore, StoredReply } from "../core/idempotency-store.ts";
import type { Logger } from "../core/log.ts";
import { isOpen } from "./attempt-endings.ts";
import { AnswerRecording, readRecording } from "./recorded-answer.ts";
import type { Stage } from "./stage.ts";

export interface IdempotencyOptions {
  readonly store: IdempotencyStore;
  readonly clock: Clock;
  readonly log: Logger;
  /** How long a finished call can be repeated, in milliseconds. */
  readonly keepMs: number;
  /** Largest answer that is kept. */
  readonly maxAnswerBytes: number;
}

/** How long after its deadline a call still counts as running: its process must have died then. */
const graceMs = 60_000;
/** When whoever came second may ask again. */
const inFlightRetryMs = 1_000;

/** And who found no room for another key: some end all the time. */
const fullRetryMs = 60_000;

/** What a record holds beside the answer's bytes. */
type Meta =
  | { readonly kind: "answer" }
  | { readonly kind: "too_large" }
  | { readonly kind: "failed"; readonly reason: Reason; readonly message: string; readonly status: number };

/** For operations that stream. */
export function idempotentStream(options: IdempotencyOptions): Stage<GenerateRequest, AsyncIterable<EventBatch>> {
  return (next) => {
    async function* runOnce(request: GenerateRequest, call: Call): AsyncGenerator<EventBatch> {
      const run = await begin(options, call, GenerateRequestSchema, request);
      if (run instanceof Uint8Array) {
        yield* replay(run, call);
        return;
      }
      const recording = new AnswerRecording(options.maxAnswerBytes);
      let failure: GatewayError | undefined;
      let committed = false;
      let complete = false;
      try {
        // What is kept are events: the upstream's own bytes would answer one dialect only.
        for await (const batch of next(request, { ...call, wire: undefined })) {
          recording.add(batch);
          committed = true;
          yield batch;
        }
        complete = true;
      } catch (thrown) {
        failure = call.signal.aborted ? stopReason(call.signal) : GatewayError.from(thrown);
        throw failure;
      } finally {
        if (complete) await run.succeed(recording.take());
        else await run.fail(failure ?? stopReason(call.signal), committed);
      }
    }
    return (request, call) => (keyOf(call) === "" ? next(request, call) : runOnce(request, call));
  };
}

/** For generations that are answered in one piece. */
export function idempotentWhole(options: IdempotencyOptions): Stage<GenerateRequest, Promise<EventBatch>> {
  return (next) => {
    const runOnce = idempotentStream(options)((request, call) => streamOf(next(request, call)));
    return (request, call) => (keyOf(call) === "" ? next(request, call) : wholeOf(runOnce(request, call)));
  };
}

async function* streamOf(whole: Promise<EventBatch>): AsyncGenerator<EventBatch> {
  yield await whole;
}

async function wholeOf(stream: AsyncIterable<EventBatch>): Promise<EventBatch> {
  const events: GenerateEvent[] = [];
  // Kept answers have no bytes of an upstream's.
  for await (const batch of stream) for (const event of batch.events) events.push(event);
  return { events };
}

/** For embeddings. */
export function idempotentEmbed(options: IdempotencyOptions): Stage<EmbedRequest, Promise<EmbedResponse>> {
  return (next) => async (request, call) => {
    if (keyOf(call) === "") return next(request, call);
    const run = await begin(options, call, EmbedRequestSchema, request);
    if (run instanceof Uint8Array) {
      const response = fromBinary(EmbedResponseSchema, run);
      const translation = response.settled?.translation ?? [];
      call.translation.push(...translation);
      const settled = create(SettledSchema, { costNanoUsd: 0n, translation });
      return { ...response, settled, requestId: call.requestId, replayed: true };
    }
    let response: EmbedResponse;
    try {
      // What is kept are vectors that any dialect can write.
      response = await next(request, { ...call, wire: undefined });
    } catch (thrown) {
      const failure = call.signal.aborted ? stopReason(call.signal) : GatewayError.from(thrown);
      await run.fail(failure, false);
      throw failure;
    }
    const settled = create(SettledSchema, { translation: [...call.translation] });
    const bytes = toBinary(EmbedResponseSchema, { ...response, settled });
    await run.succeed(bytes.length > options.maxAnswerBytes ? undefined : bytes);
    return response;
  };
}

function* replay(recorded: Uint8Array, call: Call): Generator<EventBatch> {
  for (const batch of readRecording(recorded)) {
    for (const { event } of batch.events) {
      if (event.case !== "started") continue;
      event.value.requestId = call.requestId;
      event.value.replayed = true;
      call.translation.push(...event.value.translation);
    }
    yield batch;
  }
}

/** A call that has its key, and says how it ended. */
class KeyedRun {
  readonly #options: IdempotencyOptions;
  readonly #call: Call;
  readonly #id: IdempotencyId;
  readonly #token: string;

  constructor(options: IdempotencyOptions, call: Call, id: IdempotencyId, token: string) {
    this.#options = options;
    this.#call = call;
    this.#id = id;
    this.#token = token;
  }

  /** `answer` is undefined where it is too large to be kept. */
  succeed(answer: Uint8Array | undefined): Promise<void> {
    return this.#finish(answer === undefined ? { kind: "too_large" } : { kind: "answer" }, answer);
  }

  /** `committed`: something of the answer has reached the client. */
  fail(error: GatewayError, committed: boolean): Promise<void> {
    const { reason, message, status } = error;
    // A stream that is still read for its counts will be billed.
    const mayBeBilled = committed || this.#call.attempts.some((attempt) => attempt.usage !== undefined || isOpen(attempt));
    return mayBeBilled ? this.#finish({ kind: "failed", reason, message, status }) : this.#release();
  }

  #finish(meta: Meta, body: Uint8Array = new Uint8Array(0)): Promise<void> {
    const { store } = this.#options;
    const reply: StoredReply = { httpStatus: meta.kind === "failed" ? meta.status : 200, metaJson: JSON.stringify(meta), body };
    return this.#note(() => store.finish(this.#call.principal.tenant, this.#id, this.#token, reply));
  }

  #release(): Promise<void> {
    return this.#note(() => this.#options.store.release(this.#call.principal.tenant, this.#id, this.#token));
  }

  /** The call is over: whoever waits for its answer gets it, whether or not the record can be written. */
  async #note(write: () => Promise<boolean>): Promise<void> {
    const { log } = this.#options;
    const fields = { request_id: this.#call.requestId };
    try {
      if (!(await write())) log.warn("a call overran its time, and its idempotency key was taken by another", fields);
    } catch (error) {
      log.warn("the end of a call with an idempotency key could not be kept; its key is taken until it times out", { ...fields, error });
    }
  }
}

/** The recorded answer, or leave to run. Throws GatewayError for a key that cannot be used now, and for a failure that was kept. */
async function begin<Desc extends DescMessage>(
  options: IdempotencyOptions,
  call: Call,
  schema: Desc,
  request: MessageShape<Desc>,
): Promise<KeyedRun | Uint8Array> {
  const { store, clock, keepMs } = options;
  const id: IdempotencyId = { scope: scopeOf(call), key: keyOf(call) };
  const now = clock.wall();
  const runsUntil = now + Math.max(0, call.deadline - clock.now()) + graceMs;
  const state = await store.begin(call.principal.tenant, id, {
    bodyHash: hashRequest(call, schema, request),
    now,
    runsUntil,
    // A key that is kept for less than its call may run would let a repeat run beside it.
    keptUntil: Math.max(now + keepMs, runsUntil),
  });
  switch (state.state) {
    case "new":
      return new KeyedRun(options, call, id, state.token);
    case "in_flight":
      throw new GatewayError("idempotency_in_flight", "a call with this idempotency key is still running; repeat the request later", {
        retryAfterMs: inFlightRetryMs,
      });
    case "other_body":
      throw new GatewayError(
        "idempotency_mismatch",
        "this idempotency key was used with another request; use a new key for each request, and the same only to repeat it",
      );
    case "full":
      throw new GatewayError("rate_limited", `the tenant has ${state.maxKeys} idempotency keys, which is the most; leave the key out`, {
        retryAfterMs: fullRetryMs,
        violations: [{ subject: "tenant/idempotency_keys", description: `keys end ${Math.ceil(keepMs / 1_000)} s after their call began` }],
        undispatched: true,
      });
    case "finished":
      return readReply(state.reply);
  }
}

function readReply({ metaJson, body }: StoredReply): Uint8Array {
  if (metaJson === "") {
    const message = "the call with this idempotency key is over, but its answer is kept no longer; a new key runs it again";
    throw new GatewayError("not_replayable", message, { headers: { "idempotent-replayed": "true" } });
  }
  const meta = JSON.parse(metaJson) as Meta;
  if (meta.kind === "answer") return body;
  const headers = { "idempotent-replayed": "true" };
  if (meta.kind === "too_large") {
    const message = "the call with this idempotency key succeeded, but its answer was too large to be kept; a new key runs it again";
    throw new GatewayError("not_replayable", message, { headers });
  }
  // Nobody who asks now has left: that the first one did is no answer.
  if (meta.reason === "cancelled" || !Object.hasOwn(reasons, meta.reason)) {
    const message =
      "the call with this idempotency key was broken off by its client after it may have cost something; a new key runs it again";
    throw new GatewayError("not_replayable", message, { headers });
  }
  throw new GatewayError(meta.reason, meta.message, { status: meta.status, retryable: false, headers });
}

function keyOf({ options }: Call): string {
  return options?.idempotencyKey ?? "";
}

/** Whose keys and of what: two clients, two wire formats, two prompts of one request never meet. */
function scopeOf({ principal, dialect, operation, part }: Call): string {
  const method = operation === "embed" ? "embed" : "generate";
  return [principal.id, dialect, method, ...(part === undefined ? [] : [part])].join(" ");
}

/**
 * SHA-256 in hex of the request as it was read. Who asks and how long they would wait may differ between repeats; what
 * changes the answer may not: the streamed and the whole one are different answers.
 */
function hashRequest<Desc extends DescMessage>(call: Call, schema: Desc, request: MessageShape<Desc>): string {
  const bare = { ...request, attribution: undefined, options: undefined };
  const hash = createHash("sha256").update(`${call.operation}\n`);
  hash.update(toBinary(CallOptionsSchema, answerOptions(call.options)));
  return hash.update(toBinary(schema, bare)).digest("hex");
}

function answerOptions(options: CallOptions | undefined): CallOptions {
  const { policy = "", provider = "", strict = false, explain = false } = options ?? {};
  return create(CallOptionsSchema, { policy, provider, strict, explain });
}
