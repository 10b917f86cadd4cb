/**
 * The provider `sim`: models inside the process, always there. They answer by echo or by script, deterministically;
 * nothing here knows anything.
 */
import { randomBytes } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type Embedding,
  EmbeddingSchema,
  EmbeddingType,
  type EmbedInput,
  type EmbedRequest,
  EmbedResponseSchema,
} from "../../gen/dragoman/v1/embed_pb.ts";
import {
  type Annotation,
  AnnotationSchema,
  BlockKind,
  FinishReason,
  type GenerateRequest,
  type TokenLogprob,
} from "../../gen/dragoman/v1/generate_pb.ts";
import { type Model, ModelCapability, ModelKind, ModelModality, ModelSchema } from "../../gen/dragoman/v1/model_pb.ts";
import { type Usage, UsageBasis, UsageSchema } from "../../gen/dragoman/v1/usage_pb.ts";
import { type AttemptCall, stopReason, throwIfStopped } from "../core/call.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { GatewayError, invalidField, type Reason } from "../core/error.ts";
import { deltaEvent, type EventBatch, EventBuilder, finishedEvent, startedEvent, usageEvent } from "../core/event.ts";
import { JsonError } from "../core/json.ts";
import type { Provider } from "../core/provider.ts";
import type { ModelTraits, Target } from "../core/target.ts";
import { Attempts, chooseScript } from "./choose-script.ts";
import { type BlockWord, type Counts, compose, countsOf, Meter, type Move } from "./compose.ts";
import { type FaultName, faults } from "./faults.ts";
import { behaviourOf } from "./model-name.ts";
import { simDefaults } from "./options.ts";
import { type Pace, Pacer, pause } from "./pace.ts";
import type { Prompt } from "./prompt.ts";
import { readPrompt } from "./read-prompt.ts";
import { type Citation, type ErrorStep, type FinishWord, type Script, ScriptError } from "./script.ts";
import { signReasoning } from "./signature.ts";
import { tokensOf } from "./tokens.ts";
import { maxDimensions, vectorOf } from "./vectors.ts";

export interface SimProviderOptions {
  /** The configured name. */
  readonly name?: string;
  readonly ttftMs?: number;
  /** 0: as fast as it goes. */
  readonly tokensPerSecond?: number;
  /** Length of vectors where a request does not say. */
  readonly dimensions?: number;
  readonly clock?: Clock;
}

const contextWindow = 1_000_000;

export function createSimProvider(options: SimProviderOptions = {}): Provider {
  return new SimProvider(options);
}

class SimProvider implements Provider {
  readonly name: string;
  readonly listsFullNames = true;
  readonly #pace: Pace;
  readonly #dimensions: number;
  readonly #clock: Clock;
  readonly #attempts = new Attempts();

  constructor({ name = "sim", ttftMs = simDefaults.ttftMs, tokensPerSecond = simDefaults.tokensPerSecond, ...rest }: SimProviderOptions) {
    this.name = name;
    this.#pace = { ttftMs, tokensPerSecond };
    this.#dimensions = rest.dimensions ?? simDefaults.dimensions;
    this.#clock = rest.clock ?? systemClock;
  }

  async *generate(request: GenerateRequest, target: Target, call: AttemptCall): AsyncIterable<EventBatch> {
    throwIfStopped(call);
    const behaviour = behaviourOf(target.model);
    if (behaviour.kind === "any" || behaviour.kind === "missing" || behaviour.kind === "embed")
      throw unknownModel(target.model, "generates text");
    const prompt = readRequest(request);
    const answer = new Answer(this.name, prompt, this.#script(target.model, prompt, request), request, call);
    const upstreamId = `sim-${randomBytes(9).toString("base64url")}`;
    call.attempt.upstreamRequestId = upstreamId;
    const started = startedEvent({
      servedModel: target.model,
      provider: this.name,
      target: target.id,
      upstreamId,
      createdAt: timestampFromMs(this.#clock.wall()),
    });
    if (call.options?.explain) yield { events: [started] };
    else yield* answer.batches(started, this.#pace);
  }

  embed = async (request: EmbedRequest, target: Target, call: AttemptCall) => {
    throwIfStopped(call);
    if (behaviourOf(target.model).kind !== "embed") throw unknownModel(target.model, "embeds");
    const dimensions = request.dimensions ?? this.#dimensions;
    if (dimensions > maxDimensions) throw invalidField("dimensions", `must be at most ${maxDimensions}`);
    const refused = request.types.findIndex((type) => type !== EmbeddingType.FLOAT);
    if (refused !== -1) throw invalidField(`types[${refused}]`, "the simulated model makes FLOAT vectors only");
    const texts = request.inputs.map(inputText);
    call.attempt.httpStatus = 200;
    const embeddings: Embedding[] = texts.map((text, index) =>
      create(EmbeddingSchema, { index, type: EmbeddingType.FLOAT, values: vectorOf(text, dimensions), inputTokens: tokensOf(text) }),
    );
    const inputTokens = texts.reduce((sum, text) => sum + tokensOf(text), 0);
    return create(EmbedResponseSchema, {
      embeddings,
      dimensions,
      servedModel: target.model,
      provider: this.name,
      target: target.id,
      usage: create(UsageSchema, { inputTokens, basis: UsageBasis.PROVIDER }),
    });
  };

  async listModels(): Promise<Model[]> {
    return listed.map(({ id, description, kind }) =>
      create(ModelSchema, {
        id,
        displayName: `Simulated: ${id}`,
        description,
        ownedBy: this.name,
        providers: [this.name],
        upstreamModel: id,
        createdAt: timestampFromMs(Date.UTC(2025, 0, 1)),
        kinds: [kind],
        available: true,
        ...(kind === ModelKind.EMBED
          ? { embeddingDimensions: this.#dimensions, inputModalities: [ModelModality.TEXT] }
          : { contextWindow, capabilities, inputModalities: modalities, outputModalities: [ModelModality.TEXT] }),
      }),
    );
  }

  traits(model: string): ModelTraits {
    if (behaviourOf(model).kind === "embed") return { embeddingDimensions: this.#dimensions };
    return {
      contextWindow,
      sampling: true,
      midSystem: true,
      prefill: false,
      structuredOutput: true,
      tools: true,
      vision: true,
      reasoning: "both",
      imageUrls: true,
      toolResultImages: true,
    };
  }

  async close(): Promise<void> {}

  #script(model: string, prompt: Prompt, request: GenerateRequest): Script {
    try {
      return chooseScript(model, prompt, () => `${model} ${prompt.userTexts.join("\n")} ${request.messages.length}`, this.#attempts);
    } catch (error) {
      if (error instanceof ScriptError) throw invalidField(error.path, error.message.slice(error.path.length + 2));
      throw error;
    }
  }
}

const listed = [
  { id: "echo", description: "Answers with the last user text", kind: ModelKind.GENERATE },
  { id: "script", description: "Plays the sim_script in the last user text", kind: ModelKind.GENERATE },
  { id: "embed", description: "Stable unit vectors without meaning", kind: ModelKind.EMBED },
];
const modalities = [ModelModality.TEXT, ModelModality.IMAGE, ModelModality.AUDIO, ModelModality.FILE];
const capabilities = [
  ModelCapability.TOOLS,
  ModelCapability.PARALLEL_TOOLS,
  ModelCapability.REASONING,
  ModelCapability.STRUCTURED_OUTPUT,
  ModelCapability.LOGPROBS,
  ModelCapability.STREAMING,
  ModelCapability.MID_SYSTEM,
  ModelCapability.SAMPLING,
];

/** One answer on its way. */
class Answer {
  readonly #provider: string;
  readonly #prompt: Prompt;
  readonly #script: Script;
  readonly #logprobs: boolean;
  readonly #call: AttemptCall;
  readonly #meter = new Meter();
  readonly #builder = new EventBuilder();
  /** The contract's block index and kind, by the composer's `candidate/block`. */
  readonly #blocks = new Map<string, { index: number; kind: BlockWord }>();
  #usageFault: FaultName | undefined;
  #begun = false;

  constructor(provider: string, prompt: Prompt, script: Script, request: GenerateRequest, call: AttemptCall) {
    this.#provider = provider;
    this.#prompt = prompt;
    this.#script = script;
    this.#logprobs = request.sampling?.logprobs === true;
    this.#call = call;
  }

  async *batches(started: ReturnType<typeof startedEvent>, pace: Pace): AsyncIterable<EventBatch> {
    const { ttftMs = pace.ttftMs, tokensPerSecond = pace.tokensPerSecond } = this.#script;
    const pacer = new Pacer({ ttftMs, tokensPerSecond });
    const { signal } = this.#call;
    try {
      for (const move of this.#moves()) {
        if (move.is === "wait") {
          await pause(move.milliseconds, signal);
          pacer.skip(move.milliseconds);
          continue;
        }
        if (move.is === "error") throw this.#error(move.error);
        if (move.is === "fault") {
          await this.#fault(move.fault.name);
          continue;
        }
        if (move.is === "grow" && move.paced) {
          const due = pacer.next(signal);
          if (due !== undefined) await due;
        }
        throwIfStopped(this.#call);
        if (!this.#begun) {
          this.#begun = true;
          this.#call.attempt.httpStatus = 200;
          this.#builder.push(started);
        }
        this.#build(move);
        // A token is a batch of its own; what opens and closes blocks rides along.
        if (move.is === "grow" || move.is === "finish") yield { events: this.#builder.take() };
      }
      const usage = this.#usage();
      if (usage !== undefined) yield { events: [usageEvent(usage)] };
    } catch (thrown) {
      const failure = signal.aborted ? stopReason(signal) : thrown;
      this.#builder.endOpenBlocks({ incomplete: true });
      const events = this.#builder.take();
      if (this.#begun && events.length > 0) yield { events };
      throw failure;
    }
  }

  #moves(): Iterable<Move> {
    const { candidates, maxOutputTokens, stop, reasoning } = this.#prompt;
    return compose(this.#script, {
      candidates,
      maxOutputTokens,
      stop,
      reasoning,
      interleave: true,
      newCallId: () => `call_${randomBytes(12).toString("hex")}`,
      sign: (text) => signReasoning("sim", text),
    });
  }

  #build(move: Exclude<Move, { is: "wait" | "error" | "fault" }>): void {
    this.#meter.see(move);
    const { candidate } = move;
    if (move.is === "finish") {
      this.#builder.push(
        finishedEvent({ candidate, reason: finishReasons[move.reason], rawReason: move.reason, stopSequence: move.stopSequence ?? "" }),
      );
      return;
    }
    const key = `${candidate}/${move.block}`;
    if (move.is === "open") {
      const { id, name, kind } = move;
      const index = this.#builder.startBlock(candidate, blockKinds[kind], kind === "call" ? { toolCall: { id, name } } : {});
      this.#blocks.set(key, { index, kind });
      return;
    }
    const block = this.#blocks.get(key);
    if (block === undefined) return;
    if (move.is === "close") {
      const { signature: value, redacted, citations, incomplete } = move;
      if (citations.length > 0) this.#builder.push(deltaEvent(candidate, block.index, { case: undefined }, citations.map(annotationOf)));
      const signature = value === undefined ? {} : { signature: { value, format: "sim", provider: this.#provider } };
      this.#builder.endBlock(candidate, block.index, { ...signature, redacted, incomplete });
    } else if (!move.hidden) {
      const logprobs = this.#logprobs && block.kind === "text" ? [logprobOf(move.text)] : [];
      const delta = { case: block.kind === "call" ? ("argumentsJson" as const) : ("text" as const), value: move.text };
      this.#builder.push(deltaEvent(candidate, block.index, delta, [], logprobs));
    }
  }

  /** Faults of sockets and bytes have no place in a process: they become the error that their reader would throw. */
  async #fault(name: FaultName): Promise<void> {
    const { place } = faults[name];
    if (name.startsWith("usage_")) this.#usageFault = name;
    if (name === "stall" || name === "stall_before") await pause(Number.POSITIVE_INFINITY, this.#call.signal);
    if (name.startsWith("rate_limit")) throw this.#error({ status: 429, retryAfter: "2" });
    if (name === "quota") throw this.#error({ status: 429, code: "insufficient_quota" });
    const status = /^(?:status|html)_([45]\d\d)$/.exec(name)?.[1];
    if (status !== undefined) throw this.#error({ status: Number(status) });
    if (place === "mode" || harmless.has(name)) return;
    throw new GatewayError("provider_error", `the simulated upstream broke its answer off (${name})`);
  }

  #error({ status, type = "", code = "", message = `simulated error ${status}`, retryAfter }: ErrorStep): GatewayError {
    const midStream = this.#begun;
    if (!midStream) this.#call.attempt.httpStatus = status;
    const seconds = Number(retryAfter);
    return new GatewayError(code === "insufficient_quota" ? "quota_exhausted" : (errorReasons[status] ?? "provider_error"), message, {
      ...(retryAfter !== undefined && seconds >= 0 ? { retryAfterMs: seconds * 1000 } : {}),
      ...(status < 500 && errorReasons[status] === undefined ? { retryable: false } : {}),
      upstream: {
        provider: this.#provider,
        httpStatus: midStream ? 0 : status,
        type,
        code,
        message,
        param: "",
        requestId: this.#call.attempt.upstreamRequestId,
        midStream,
        bodyJson: "",
      },
    });
  }

  #usage(): Usage | undefined {
    const counts = countsOf(this.#prompt.inputTokens, this.#meter, this.#script.usage, true);
    switch (this.#usageFault) {
      case "usage_absent":
      // Counts that are no counts are read as absent.
      case "usage_negative":
        return undefined;
      case "usage_zero":
        return usageOf({ inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0, reasoningTokens: 0 });
      default:
        return usageOf(counts);
    }
  }
}

const harmless: ReadonlySet<FaultName> = new Set(["unknown_event", "comment_flood", "ping_flood"]);

const blockKinds: Readonly<Record<BlockWord, BlockKind>> = {
  text: BlockKind.TEXT,
  reasoning: BlockKind.REASONING,
  refusal: BlockKind.REFUSAL,
  call: BlockKind.TOOL_CALL,
};

const finishReasons: Readonly<Record<FinishWord, FinishReason>> = {
  stop: FinishReason.STOP,
  stop_sequence: FinishReason.STOP_SEQUENCE,
  length: FinishReason.LENGTH,
  tool_calls: FinishReason.TOOL_CALLS,
  content_filter: FinishReason.CONTENT_FILTER,
  refusal: FinishReason.REFUSAL,
  pause: FinishReason.PAUSE,
};

const errorReasons: Readonly<Record<number, Reason>> = {
  400: "invalid_request",
  404: "model_not_found",
  408: "timeout",
  413: "too_large",
  422: "invalid_request",
  429: "rate_limited",
};

function usageOf({ inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens, reasoningTokens }: Counts): Usage {
  return create(UsageSchema, { inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens, reasoningTokens, basis: UsageBasis.PROVIDER });
}

/** The same token always gets the same probability. */
function logprobOf(token: string): TokenLogprob {
  const logprob = -(tokensOf(token) / 8);
  return { $typeName: "dragoman.v1.TokenLogprob", token, logprob, bytes: new TextEncoder().encode(token), top: [] };
}

function readRequest(request: GenerateRequest): Prompt {
  try {
    return readPrompt(request);
  } catch (error) {
    if (error instanceof JsonError) throw new GatewayError("invalid_request", `a schema of the request is no JSON: ${error.message}`);
    throw error;
  }
}

function inputText({ input }: EmbedInput, index: number): string {
  switch (input.case) {
    case "text":
      return input.value;
    case "tokens":
      return input.value.ids.join(" ");
    case "parts": {
      const texts = input.value.parts.map(({ part }) => (part.case === "text" ? part.value : undefined));
      if (texts.includes(undefined)) throw invalidField(`inputs[${index}].parts`, "the simulated model embeds text only");
      return texts.join("\n");
    }
    default:
      throw invalidField(`inputs[${index}]`, "is empty");
  }
}

function unknownModel(model: string, what: string): GatewayError {
  const names = listed.map(({ id }) => id).join(", ");
  return new GatewayError("model_not_found", `no simulated model ${JSON.stringify(model)} ${what}; there are ${names} (docs/simulator.md)`);
}

function annotationOf({ url, title, start, end }: Citation): Annotation {
  return create(AnnotationSchema, { startIndex: start, endIndex: end, source: { case: "url", value: { url, title } } });
}
