/** An answer as its chunks come, or whole: outputs become candidates, what they hold becomes blocks. */
import { create } from "@bufbuild/protobuf";
import {
  type Annotation,
  BlockKind,
  FinishReason as CoreFinish,
  type TokenLogprob,
  ToolKind,
} from "../../../gen/dragoman/v1/generate_pb.ts";
import type { Usage } from "../../../gen/dragoman/v1/usage_pb.ts";
import {
  type CompletionMessage,
  type DebugOutput,
  DebugOutputSchema,
  type Delta,
  type GetChatCompletionChunk,
  type InlineCitation,
  type LogProbs,
  MessageRole,
  MessageSchema,
  type ToolCall,
  ToolCallSchema,
  ToolCallTypeSchema,
} from "../../../gen/xai/api/v1/chat_pb.ts";
import { type FinishReason, FinishReasonSchema } from "../../../gen/xai/api/v1/sample_pb.ts";
import { unwrapInput } from "../../core/custom-tool.ts";
import { GatewayError } from "../../core/error.ts";
import { EventBuilder, finishedEvent, type GenerateEvent, opaqueEvent, startedEvent, usageEvent } from "../../core/event.ts";
import { CallState } from "./call-state.ts";
import { codePoints, pageAnnotation, readCitation } from "./citations.ts";
import { messageText } from "./json-message.ts";
import { readUsage } from "./usage.ts";
import { enumName, finishReasons, formatName, isClientCall, signatureFamily } from "./wire.ts";
import { textContent } from "./write-content.ts";
import { toolOutputType } from "./write-messages.ts";

type Head = Pick<GetChatCompletionChunk, "id" | "created" | "model" | "systemFingerprint">;

/** One output, of a chunk or of a whole answer. */
export interface Output {
  readonly index: number;
  readonly content: Delta | CompletionMessage | undefined;
  readonly logprobs: LogProbs | undefined;
  readonly finishReason: FinishReason;
}

/** Most candidates that are believed: the API gives 128. */
const maxCandidates = 128;

interface Candidate {
  /** The block that the next delta may go on with. */
  open: { readonly index: number; readonly kind: "text" | "reasoning" } | undefined;
  /** Characters of text blocks that have ended, and the texts of the open one. */
  before: number;
  readonly pieces: string[];
  finishReason: FinishReason | undefined;
  readonly cited: Set<string>;
}

export class AnswerReader {
  readonly #builder = new EventBuilder();
  readonly #provider: string;
  readonly #state: CallState;
  readonly #candidates = new Map<number, Candidate>();
  #started = false;
  #usage: string | undefined;
  #pages: readonly string[] = [];

  /** `state` is what the request's writer left. */
  constructor(provider: string, state: unknown) {
    this.#provider = provider;
    this.#state = state instanceof CallState ? state : new CallState();
  }

  take(): GenerateEvent[] {
    return this.#builder.take();
  }

  start({ id, created, model, systemFingerprint }: Head, extras: Record<string, string> = {}): void {
    if (this.#started) return;
    this.#started = true;
    const createdAt = created === undefined ? {} : { createdAt: created };
    this.#builder.push(startedEvent({ upstreamId: id, servedModel: model, systemFingerprint, ...createdAt }, extras));
  }

  output({ index, content, logprobs, finishReason }: Output): void {
    const number = this.#state.severalCandidates ? index : 0;
    if (number < 0 || number >= maxCandidates) throw this.#unreadable("an output with an impossible index");
    const candidate = this.#candidate(number);
    if (content !== undefined) {
      if (content.role === MessageRole.ROLE_TOOL) this.#toolOutput(number, candidate, content);
      else this.#content(number, candidate, content, logprobs);
    }
    if (finishReason !== 0) candidate.finishReason = finishReason;
  }

  usage(usage: Usage): void {
    // Running totals come with every chunk; only news are worth an event.
    const text = `${usage.inputTokens} ${usage.outputTokens} ${usage.cacheReadTokens} ${usage.providerCostNanoUsd}`;
    if (text === this.#usage) return;
    this.#usage = text;
    this.#builder.push(usageEvent(usage));
  }

  /** What teams with debugging privileges are told. */
  debugOutput(output: DebugOutput | undefined): void {
    if (output !== undefined) this.#builder.push(opaqueEvent(formatName, "debug_output", messageText(DebugOutputSchema, output)));
  }

  pages(urls: readonly string[]): void {
    if (urls.length > 0) this.#pages = urls;
  }

  /** The status was OK, which is all that says that an answer is complete. Throws provider_error where there was none. */
  end(): void {
    if (this.#candidates.size === 0) throw this.#unreadable("an answer without any output");
    for (const [number, candidate] of [...this.#candidates].sort(([left], [right]) => left - right)) {
      this.#citePages(number, candidate);
      this.#endOpen(number, candidate);
      const reason = candidate.finishReason ?? 0;
      this.#builder.push(
        finishedEvent({
          candidate: number,
          reason: finishReasons[reason as FinishReason] ?? CoreFinish.UNSPECIFIED,
          rawReason: reason === 0 ? "" : enumName(FinishReasonSchema, reason),
        }),
      );
    }
  }

  abandon(): void {
    this.#builder.endOpenBlocks({ incomplete: true });
  }

  #candidate(number: number): Candidate {
    let candidate = this.#candidates.get(number);
    if (candidate === undefined) {
      candidate = { open: undefined, before: 0, pieces: [], finishReason: undefined, cited: new Set() };
      this.#candidates.set(number, candidate);
    }
    return candidate;
  }

  #content(number: number, candidate: Candidate, content: Delta | CompletionMessage, logprobs: LogProbs | undefined): void {
    const { reasoningContent, encryptedContent, toolCalls, citations } = content;
    if (reasoningContent !== "") this.#builder.text(number, this.#grow(number, candidate, "reasoning"), reasoningContent);
    if (encryptedContent !== "") this.#encrypted(number, candidate, encryptedContent);
    if (content.content !== "") {
      const index = this.#grow(number, candidate, "text");
      candidate.pieces.push(content.content);
      this.#builder.delta(number, index, { case: "text", value: content.content }, [], readLogprobs(logprobs));
    }
    if (citations.length > 0) this.#cite(number, candidate, citations);
    for (const call of toolCalls) this.#call(number, candidate, call);
  }

  /** The block that goes on, else a new one. */
  #grow(number: number, candidate: Candidate, kind: "text" | "reasoning"): number {
    if (candidate.open?.kind === kind) return candidate.open.index;
    this.#endOpen(number, candidate);
    const index = this.#builder.startBlock(number, kind === "text" ? BlockKind.TEXT : BlockKind.REASONING);
    candidate.open = { index, kind };
    return index;
  }

  /** The ciphertext belongs to the message; it hangs on the reasoning that is open, else on a hidden one of its own. */
  #encrypted(number: number, candidate: Candidate, value: string): void {
    const isOpen = candidate.open?.kind === "reasoning";
    const index = this.#grow(number, candidate, "reasoning");
    candidate.open = undefined;
    const signature = { $typeName: "dragoman.v1.Signature" as const, value, format: signatureFamily, provider: this.#provider };
    this.#builder.endBlock(number, index, { signature, redacted: !isOpen });
  }

  #call(number: number, candidate: Candidate, call: ToolCall): void {
    this.#endOpen(number, candidate);
    if (!isClientCall(call.type) || call.tool.case !== "function") {
      this.#opaque(
        number,
        enumName(ToolCallTypeSchema, call.type)
          .replace(/^TOOL_CALL_TYPE_/, "")
          .toLowerCase(),
        messageText(ToolCallSchema, call),
      );
      return;
    }
    const { name, arguments: written } = call.tool.value;
    const isCustom = this.#state.customTools.has(name);
    const index = this.#builder.startBlock(number, BlockKind.TOOL_CALL, {
      toolCall: {
        $typeName: "dragoman.v1.ToolCall",
        id: call.id,
        name,
        kind: isCustom ? ToolKind.CUSTOM : ToolKind.FUNCTION,
        argumentsJson: "",
        inputText: "",
      },
    });
    if (isCustom) this.#builder.text(number, index, unwrapInput(written));
    else if (written !== "") this.#builder.argumentsJson(number, index, written);
    this.#builder.endBlock(number, index);
  }

  /** What a tool answered that the service ran; its form is for this format alone. */
  #toolOutput(number: number, candidate: Candidate, content: Delta | CompletionMessage): void {
    this.#endOpen(number, candidate);
    const message = create(MessageSchema, {
      role: MessageRole.ROLE_TOOL,
      content: content.content === "" ? [] : [textContent(content.content)],
      toolCalls: content.toolCalls,
      encryptedContent: content.encryptedContent,
    });
    this.#opaque(number, toolOutputType, messageText(MessageSchema, message));
  }

  #opaque(number: number, type: string, dataJson: string): void {
    const opaque = { $typeName: "dragoman.v1.OpaquePart" as const, format: formatName, type, dataJson };
    const index = this.#builder.startBlock(number, BlockKind.OPAQUE, { opaque });
    this.#builder.endBlock(number, index, { opaque });
  }

  #cite(number: number, candidate: Candidate, citations: readonly InlineCitation[]): void {
    const index = this.#grow(number, candidate, "text");
    for (const { citation } of citations)
      if (citation.case === "webCitation" || citation.case === "xCitation") candidate.cited.add(citation.value.url);
    this.#annotate(
      number,
      index,
      citations.map((citation) => readCitation(citation, candidate.before)),
    );
  }

  /** Pages that no citation in the text names. The list is the answer's, so it goes to its first candidate. */
  #citePages(number: number, candidate: Candidate): void {
    const pages = this.#pages.filter((url) => !candidate.cited.has(url));
    this.#pages = [];
    if (pages.length > 0) this.#annotate(number, this.#grow(number, candidate, "text"), pages.map(pageAnnotation));
  }

  #annotate(number: number, index: number, annotations: Annotation[]): void {
    this.#builder.delta(number, index, { case: undefined }, annotations);
  }

  #endOpen(number: number, candidate: Candidate): void {
    const { open } = candidate;
    if (open === undefined) return;
    candidate.open = undefined;
    if (open.kind === "text") candidate.before += codePoints(candidate.pieces.splice(0).join(""));
    this.#builder.endBlock(number, open.index);
  }

  #unreadable(what: string): GatewayError {
    return new GatewayError("provider_error", `provider ${this.#provider} sent ${what}`);
  }
}

export function readUsageOf(answer: AnswerReader, usage: Parameters<typeof readUsage>[0] | undefined): void {
  if (usage !== undefined) answer.usage(readUsage(usage));
}

function readLogprobs(logprobs: LogProbs | undefined): TokenLogprob[] {
  return (logprobs?.content ?? []).map(({ token, logprob, bytes, topLogprobs }) => ({
    $typeName: "dragoman.v1.TokenLogprob",
    token,
    logprob,
    bytes,
    top: topLogprobs.map((top) => ({ $typeName: "dragoman.v1.TopLogprob", token: top.token, logprob: top.logprob, bytes: top.bytes })),
  }));
}
