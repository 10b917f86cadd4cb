/** xAI's answers, as the proto3 JSON of its messages. */
import type { Counts } from "../../compose.ts";
import type { FinishWord } from "../../script.ts";
import type { JsonObject } from "../../shape.ts";
import { AnswerFold, type FoldedBlock, type FoldedCandidate } from "../answer-fold.ts";
import { newId, nowSeconds } from "../ids.ts";
import { noteScripted } from "../issued.ts";
import type { AnswerWriter, ContentMove, Frame, Reading } from "../wire.ts";

const finishWords: Readonly<Record<FinishWord, string>> = {
  stop: "REASON_STOP",
  stop_sequence: "REASON_STOP",
  length: "REASON_MAX_LEN",
  tool_calls: "REASON_TOOL_CALLS",
  // A filter and a refusal end as any answer does.
  content_filter: "REASON_STOP",
  refusal: "REASON_STOP",
  pause: "REASON_TIME_LIMIT",
};

/** Reasoning stands outside the completion. */
export function xaiUsage({ inputTokens, outputTokens, cacheReadTokens, reasoningTokens }: Counts): JsonObject {
  return {
    promptTokens: inputTokens,
    completionTokens: Math.max(0, outputTokens - reasoningTokens),
    reasoningTokens,
    totalTokens: inputTokens + outputTokens,
    promptTextTokens: inputTokens,
    cachedPromptTextTokens: cacheReadTokens,
  };
}

export class XaiWriter implements AnswerWriter {
  readonly #reading: Reading;
  readonly #fold = new AnswerFold();
  readonly #id = newId("");
  readonly #created = new Date(nowSeconds() * 1_000).toISOString();
  /** Ciphertext of reasoning, which comes with the end of its candidate. */
  readonly #encrypted = new Map<number, string>();

  constructor(reading: Reading) {
    this.#reading = reading;
  }

  begin(): Frame[] {
    return [];
  }

  write(move: ContentMove): Frame[] {
    this.#fold.add(move);
    if (move.is === "finish") {
      const encryptedContent = this.#encrypted.get(move.candidate);
      const delta = { role: "ROLE_ASSISTANT", ...(encryptedContent === undefined ? {} : { encryptedContent }) };
      return [this.#chunk([{ index: move.candidate, delta, finishReason: finishWords[move.reason] }])];
    }
    const block = this.#fold.block(move.candidate, move.block);
    if (move.is === "close") {
      this.#keepSignature(move, block);
      if (block.kind === "text" && block.citations.length > 0) {
        const before = this.#fold.candidates[move.candidate]?.blocks.slice(0, move.block) ?? [];
        return [this.#delta(move.candidate, { citations: citationsOf(block, lengthOf(before)) })];
      }
      // A call comes whole, in one chunk.
      return block.kind === "call" ? [this.#delta(move.candidate, { toolCalls: [writeCall(block)] })] : [];
    }
    if (move.is === "open" || move.hidden || block.kind === "call") return [];
    return [this.#delta(move.candidate, block.kind === "reasoning" ? { reasoningContent: move.text } : { content: move.text })];
  }

  end(usage: JsonObject | undefined): Frame[] {
    return [this.#chunk([], usage)];
  }

  usageOnly(usage: JsonObject): Frame[] {
    return [this.#chunk([], usage)];
  }

  error(): Frame[] {
    return [];
  }

  keepAlive(): Frame[] {
    return [this.#chunk([])];
  }

  body(usage: JsonObject | undefined): JsonObject {
    return {
      ...this.#head(),
      outputs: this.#fold.candidates.map((candidate, index) => this.#output(candidate, index)),
      ...(usage === undefined ? {} : { usage }),
    };
  }

  /** Only who asked for ciphertext gets it, and hidden reasoning is nothing else. */
  #keepSignature({ candidate, signature, redacted }: Extract<ContentMove, { is: "close" }>, block: FoldedBlock): void {
    if (block.kind !== "reasoning" || signature === undefined) return;
    if (!redacted && this.#reading.body.useEncryptedContent !== true) return;
    noteScripted("xai", signature);
    this.#encrypted.set(candidate, signature);
  }

  #output({ blocks, finish }: FoldedCandidate, index: number): JsonObject {
    const joined = (...kinds: string[]) =>
      blocks
        .filter(({ kind }) => kinds.includes(kind))
        .map(({ text }) => text)
        .join("");
    const message = {
      role: "ROLE_ASSISTANT",
      content: joined("text", "refusal"),
      reasoningContent: joined("reasoning"),
      citations: blocks.flatMap((block, index) => citationsOf(block, lengthOf(blocks.slice(0, index)))),
      toolCalls: blocks.filter(({ kind }) => kind === "call").map(writeCall),
      encryptedContent: this.#encrypted.get(index) ?? "",
    };
    return { index, message, finishReason: finishWords[finish] };
  }

  #delta(index: number, delta: JsonObject): Frame {
    return this.#chunk([{ index, delta: { role: "ROLE_ASSISTANT", ...delta } }]);
  }

  #chunk(outputs: JsonObject[], usage?: JsonObject): Frame {
    return { data: { ...this.#head(), outputs, ...(usage === undefined ? {} : { usage }) } };
  }

  #head(): JsonObject {
    return { id: this.#id, created: this.#created, model: this.#reading.model, systemFingerprint: "fp_sim" };
  }
}

function writeCall({ id, name, text }: FoldedBlock): JsonObject {
  return { id, type: "TOOL_CALL_TYPE_CLIENT_SIDE_TOOL", status: "TOOL_CALL_STATUS_COMPLETED", function: { name, arguments: text } };
}

/** Places are those of the whole content. */
function citationsOf({ citations }: FoldedBlock, before: number): JsonObject[] {
  return citations.map(({ url, start, end }, index) => ({
    id: String(index + 1),
    startIndex: before + start,
    endIndex: before + end,
    webCitation: { url },
  }));
}

function lengthOf(blocks: readonly FoldedBlock[]): number {
  return blocks.reduce((sum, { kind, text }) => (kind === "text" ? sum + [...text].length : sum), 0);
}
