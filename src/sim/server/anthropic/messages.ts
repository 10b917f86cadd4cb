/** Anthropic Messages, as it answers. */
import type { Counts } from "../../compose.ts";
import type { Citation, FinishWord } from "../../script.ts";
import type { JsonObject } from "../../shape.ts";
import { AnswerFold, type FoldedBlock } from "../answer-fold.ts";
import { newId } from "../ids.ts";
import { noteScripted } from "../issued.ts";
import type { Problem } from "../problem.ts";
import type { AnswerWriter, ContentMove, Frame, Reading, Wire } from "../wire.ts";
import { readMessages } from "./read.ts";
import { anthropicVendor } from "./vendor.ts";

export const messagesWire: Wire = {
  format: "anthropic-messages",
  family: "anthropic",
  lineEnd: "\n",
  // Blocks follow one another and never overlap.
  interleave: false,
  callIdPrefix: "toolu_",
  vendor: anthropicVendor,
  read: readMessages,
  writer: (reading) => new MessagesWriter(reading),
  usage: messagesUsage,
};

const finishWords: Readonly<Record<FinishWord, string>> = {
  stop: "end_turn",
  stop_sequence: "stop_sequence",
  length: "max_tokens",
  tool_calls: "tool_use",
  content_filter: "refusal",
  refusal: "refusal",
  pause: "pause_turn",
};

function messagesUsage({ inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens, reasoningTokens }: Counts): JsonObject {
  return {
    // Cached tokens stand outside.
    input_tokens: Math.max(0, inputTokens - cacheReadTokens - cacheWriteTokens),
    cache_creation_input_tokens: cacheWriteTokens,
    cache_read_input_tokens: cacheReadTokens,
    cache_creation: { ephemeral_5m_input_tokens: cacheWriteTokens, ephemeral_1h_input_tokens: 0 },
    output_tokens: outputTokens,
    output_tokens_details: { thinking_tokens: reasoningTokens },
    server_tool_use: null,
    service_tier: "standard",
  };
}

class MessagesWriter implements AnswerWriter {
  readonly #reading: Reading;
  readonly #fold = new AnswerFold();
  readonly #id = newId("msg_");

  constructor(reading: Reading) {
    this.#reading = reading;
  }

  begin(usage: JsonObject | undefined): Frame[] {
    const message = { ...this.#head(), content: [], stop_reason: null, stop_sequence: null, usage };
    return [frame("message_start", { message: { ...message, ...this.#reading.unknown } }), frame("ping", {})];
  }

  write(move: ContentMove): Frame[] {
    // The vendor gives one answer; a script's further ones have no place here.
    if (move.candidate > 0) return [];
    if (move.is === "close" && move.signature !== undefined) noteScripted("anthropic", move.signature);
    this.#fold.add(move);
    if (move.is === "finish") return [];
    const block = this.#fold.block(move.candidate, move.block);
    const index = move.block;
    if (move.is === "open") {
      // Whether reasoning is redacted shows only when it ends: its start waits.
      return block.kind === "reasoning" ? [] : [frame("content_block_start", { index, content_block: emptyBlock(block) })];
    }
    if (move.is === "close") return this.#close(block, index);
    if (move.hidden) return [];
    if (block.kind === "call") return [delta(index, { type: "input_json_delta", partial_json: move.text })];
    if (block.kind !== "reasoning") return [delta(index, { type: "text_delta", text: move.text })];
    const first = block.text === move.text;
    const start = first ? [frame("content_block_start", { index, content_block: emptyThinking })] : [];
    return [...start, delta(index, { type: "thinking_delta", thinking: move.text })];
  }

  #close(block: FoldedBlock, index: number): Frame[] {
    const stop = frame("content_block_stop", { index });
    if (block.kind !== "reasoning")
      return [...block.citations.map((one) => delta(index, { type: "citations_delta", citation: citationOf(one, block.text) })), stop];
    if (block.redacted) {
      return [frame("content_block_start", { index, content_block: { type: "redacted_thinking", data: block.signature ?? "" } }), stop];
    }
    const start = block.text === "" ? [frame("content_block_start", { index, content_block: emptyThinking })] : [];
    const signature = block.signature === undefined ? [] : [delta(index, { type: "signature_delta", signature: block.signature })];
    return [...start, ...signature, stop];
  }

  end(usage: JsonObject | undefined): Frame[] {
    const { stop_reason, stop_sequence, stop_details } = this.#ending();
    return [
      frame("message_delta", {
        delta: { stop_reason, stop_sequence, ...(stop_details === undefined ? {} : { stop_details }) },
        ...(usage === undefined ? {} : { usage }),
      }),
      frame("message_stop", {}),
    ];
  }

  usageOnly(usage: JsonObject): Frame[] {
    return [frame("message_delta", { delta: { stop_reason: null, stop_sequence: null }, usage })];
  }

  error(problem: Problem): Frame[] {
    return [{ event: "error", data: anthropicVendor.error(problem) }];
  }

  keepAlive(): Frame[] {
    return [frame("ping", {})];
  }

  body(usage: JsonObject | undefined): JsonObject {
    const blocks = this.#fold.candidates[0]?.blocks ?? [];
    return {
      ...this.#head(),
      content: blocks.map(wholeBlock),
      ...this.#ending(),
      ...(usage === undefined ? {} : { usage }),
      ...this.#reading.unknown,
    };
  }

  #head(): JsonObject {
    return { id: this.#id, type: "message", role: "assistant", model: this.#reading.model };
  }

  #ending(): JsonObject {
    const { finish = "stop", stopSequence } = this.#fold.candidates[0] ?? {};
    const refused = finish === "refusal" ? { stop_details: { type: "refusal", category: null, explanation: null } } : {};
    return { stop_reason: finishWords[finish], stop_sequence: stopSequence ?? null, ...refused };
  }
}

const emptyThinking = { type: "thinking", thinking: "", signature: "" };

function frame(type: string, rest: JsonObject): Frame {
  return { event: type, data: { type, ...rest } };
}

function delta(index: number, value: JsonObject): Frame {
  return frame("content_block_delta", { index, delta: value });
}

function emptyBlock({ kind, id, name }: FoldedBlock): JsonObject {
  return kind === "call" ? { type: "tool_use", id, name, input: {} } : { type: "text", text: "" };
}

/** https://docs.claude.com/en/docs/agents-and-tools/tool-use/web-search-tool: what a search's result is cited by. */
function citationOf({ url, title, start, end }: Citation, text: string): JsonObject {
  const citedText = [...text].slice(start, end).join("");
  const encryptedIndex = Buffer.from(url).toString("base64");
  return { type: "web_search_result_location", url, title, cited_text: citedText, encrypted_index: encryptedIndex };
}

function wholeBlock({ kind, id, name, text, signature, redacted, citations }: FoldedBlock): JsonObject {
  if (kind === "call") return { type: "tool_use", id, name, input: readInput(text) };
  if (kind !== "reasoning")
    return citations.length === 0
      ? { type: "text", text }
      : { type: "text", text, citations: citations.map((one) => citationOf(one, text)) };
  return redacted ? { type: "redacted_thinking", data: signature ?? "" } : { type: "thinking", thinking: text, signature: signature ?? "" };
}

/** Arguments that are no JSON (a script may write such) stay what they are. */
function readInput(text: string): unknown {
  try {
    return JSON.parse(text === "" ? "{}" : text);
  } catch {
    return { _raw: text };
  }
}
