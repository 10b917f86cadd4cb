/** OpenAI Chat Completions, as it answers. */
import type { Counts } from "../../compose.ts";
import type { Citation, FinishWord } from "../../script.ts";
import type { JsonObject } from "../../shape.ts";
import { tokensOf } from "../../tokens.ts";
import { AnswerFold, type FoldedCandidate } from "../answer-fold.ts";
import { newId, nowSeconds } from "../ids.ts";
import type { Problem } from "../problem.ts";
import type { AnswerWriter, ContentMove, Frame, Reading, Wire } from "../wire.ts";
import { readChat } from "./chat-read.ts";
import { newFingerprint, openaiVendor } from "./vendor.ts";

export const chatWire: Wire = {
  format: "openai-chat",
  family: "openai",
  lineEnd: "\n",
  interleave: true,
  callIdPrefix: "call_",
  vendor: openaiVendor,
  read: readChat,
  writer: (reading) => new ChatWriter(reading),
  usage: chatUsage,
};

const finishWords: Readonly<Record<FinishWord, string>> = {
  stop: "stop",
  stop_sequence: "stop",
  length: "length",
  tool_calls: "tool_calls",
  content_filter: "content_filter",
  // A worded refusal ends as any answer does.
  refusal: "stop",
  pause: "stop",
};

function chatUsage({ inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens, reasoningTokens }: Counts): JsonObject {
  return {
    prompt_tokens: inputTokens,
    completion_tokens: outputTokens,
    total_tokens: inputTokens + outputTokens,
    prompt_tokens_details: {
      cached_tokens: cacheReadTokens,
      ...(cacheWriteTokens > 0 ? { cache_write_tokens: cacheWriteTokens } : {}),
      audio_tokens: 0,
    },
    completion_tokens_details: {
      reasoning_tokens: reasoningTokens,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  };
}

class ChatWriter implements AnswerWriter {
  readonly #reading: Reading;
  readonly #fold = new AnswerFold();
  readonly #id = newId("chatcmpl-");
  readonly #created = nowSeconds();
  readonly #fingerprint = newFingerprint();
  readonly #logprobs: boolean;
  readonly #includeUsage: boolean;
  /** Candidates whose first chunk, with the role, was written. */
  readonly #spoken = new Set<number>();

  constructor(reading: Reading) {
    this.#reading = reading;
    this.#logprobs = reading.body.logprobs === true;
    this.#includeUsage = (reading.body.stream_options as { include_usage?: boolean } | null | undefined)?.include_usage === true;
  }

  begin(): Frame[] {
    return [];
  }

  write(move: ContentMove): Frame[] {
    const candidate = this.#fold.add(move);
    const frames: Frame[] = [];
    if (!this.#spoken.has(move.candidate)) {
      this.#spoken.add(move.candidate);
      frames.push(this.#chunk(move.candidate, { role: "assistant", content: "", refusal: null }));
    }
    if (move.is === "finish") return [...frames, this.#chunk(move.candidate, {}, finishWords[move.reason])];
    if (move.is === "close") {
      const annotations = move.citations.map(annotationOf);
      return annotations.length === 0 ? frames : [...frames, this.#chunk(move.candidate, { annotations })];
    }
    const block = this.#fold.block(move.candidate, move.block);
    const index = callIndex(candidate, move.block);
    if (move.is === "open") {
      if (block.kind !== "call") return frames;
      const call = { index, id: block.id, type: "function", function: { name: block.name, arguments: "" } };
      return [...frames, this.#chunk(move.candidate, { tool_calls: [call] })];
    }
    if (move.hidden) return frames;
    if (block.kind === "call")
      return [...frames, this.#chunk(move.candidate, { tool_calls: [{ index, function: { arguments: move.text } }] })];
    if (block.kind === "reasoning") return [...frames, this.#chunk(move.candidate, { reasoning_content: move.text })];
    if (block.kind === "refusal") return [...frames, this.#chunk(move.candidate, { refusal: move.text })];
    return [...frames, this.#chunk(move.candidate, { content: move.text }, null, this.#logprobs ? [logprobOf(move.text)] : undefined)];
  }

  end(usage: JsonObject | undefined): Frame[] {
    const frames = this.#includeUsage && usage !== undefined ? this.usageOnly(usage) : [];
    return [...frames, { data: "[DONE]" }];
  }

  usageOnly(usage: JsonObject): Frame[] {
    return [{ data: { ...this.#head("chat.completion.chunk"), choices: [], usage } }];
  }

  error(problem: Problem): Frame[] {
    return [{ data: openaiVendor.error(problem) }];
  }

  keepAlive(): Frame[] {
    return [];
  }

  body(usage: JsonObject | undefined): JsonObject {
    return {
      ...this.#head("chat.completion"),
      choices: this.#fold.candidates.map((candidate, index) => this.#choice(candidate, index)),
      ...(usage === undefined ? {} : { usage }),
      ...this.#reading.unknown,
    };
  }

  #head(object: string): JsonObject {
    return {
      id: this.#id,
      object,
      created: this.#created,
      model: this.#reading.model,
      service_tier: "default",
      system_fingerprint: this.#fingerprint,
    };
  }

  #chunk(index: number, delta: JsonObject, finish: string | null = null, logprobs?: JsonObject[]): Frame {
    const choice = { index, delta, logprobs: logprobs === undefined ? null : { content: logprobs, refusal: null }, finish_reason: finish };
    const usage = this.#includeUsage ? { usage: null } : {};
    const echo = "role" in delta ? this.#reading.unknown : {};
    return { data: { ...this.#head("chat.completion.chunk"), choices: [choice], ...usage, ...echo } };
  }

  #choice({ blocks, finish }: FoldedCandidate, index: number): JsonObject {
    const text = (kind: string) => blocks.filter((block) => block.kind === kind);
    const joined = (kind: string) =>
      text(kind).length === 0
        ? null
        : text(kind)
            .map((block) => block.text)
            .join("");
    const calls = text("call").map(({ id, name, text: args }) => ({ id, type: "function", function: { name, arguments: args } }));
    const reasoning = joined("reasoning");
    return {
      index,
      message: {
        role: "assistant",
        content: joined("text"),
        refusal: joined("refusal"),
        annotations: text("text").flatMap(({ citations }) => citations.map(annotationOf)),
        ...(reasoning === null ? {} : { reasoning_content: reasoning }),
        ...(calls.length === 0 ? {} : { tool_calls: calls }),
      },
      logprobs: this.#logprobs
        ? { content: [...(joined("text") ?? "").matchAll(/[\s\S]{1,4}/gu)].map(([token]) => logprobOf(token)), refusal: null }
        : null,
      finish_reason: finishWords[finish],
    };
  }
}

function annotationOf({ url, title, start, end }: Citation): JsonObject {
  return { type: "url_citation", url_citation: { start_index: start, end_index: end, url, title } };
}

/** Calls are counted from 0 per choice. */
function callIndex({ blocks }: FoldedCandidate, block: number): number {
  return blocks.slice(0, block).filter((one) => one?.kind === "call").length;
}

/** The same token always gets the same probability. */
function logprobOf(token: string): JsonObject {
  return { token, logprob: -(tokensOf(token) / 8), bytes: [...Buffer.from(token)], top_logprobs: [] };
}
