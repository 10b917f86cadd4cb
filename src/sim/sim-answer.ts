import { randomBytes } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import {
  type Annotation,
  AnnotationSchema,
  BlockKind,
  FinishReason,
  type GenerateRequest,
  type TokenLogprob,
} from "../../gen/dragoman/v1/generate_pb.ts";
import { type Usage, UsageBasis, UsageSchema } from "../../gen/dragoman/v1/usage_pb.ts";
import { type AttemptCall, stopReason, throwIfStopped } from "../core/call.ts";
import { GatewayError, type Reason } from "../core/error.ts";
import { deltaEvent, type EventBatch, EventBuilder, finishedEvent, type startedEvent, usageEvent } from "../core/event.ts";
import { type BlockWord, type Counts, compose, countsOf, Meter, type Move } from "./compose.ts";
import { type FaultName, faults } from "./faults.ts";
import { type Pace, Pacer, pause } from "./pace.ts";
import type { Prompt } from "./prompt.ts";
import type { Citation, ErrorStep, FinishWord, Script } from "./script.ts";
import { signReasoning } from "./signature.ts";
import { tokensOf } from "./tokens.ts";

/** One answer on its way: what the script says, as events of the contract. */
export class SimAnswer {
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

function annotationOf({ url, title, start, end }: Citation): Annotation {
  return create(AnnotationSchema, { startIndex: start, endIndex: end, source: { case: "url", value: { url, title } } });
}
