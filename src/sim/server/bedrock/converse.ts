/** Converse, as it answers. */
import type { Counts } from "../../compose.ts";
import type { Citation, FinishWord } from "../../script.ts";
import type { JsonObject } from "../../shape.ts";
import { AnswerFold, type FoldedBlock } from "../answer-fold.ts";
import { noteScripted } from "../issued.ts";
import type { Problem } from "../problem.ts";
import type { AnswerWriter, ContentMove, Frame, Reading, Wire } from "../wire.ts";
import { eventStream, exceptionFrame } from "./event-stream.ts";
import { readConverse } from "./read.ts";
import { bedrockVendor, problemType } from "./vendor.ts";

export const converseWire: Wire = {
  format: "bedrock-converse",
  family: "anthropic",
  lineEnd: "\n",
  framing: eventStream,
  // Blocks follow one another and never overlap.
  interleave: false,
  callIdPrefix: "tooluse_",
  vendor: bedrockVendor,
  read: readConverse,
  writer: (reading) => new ConverseWriter(reading),
  usage: converseUsage,
};

const finishWords: Readonly<Record<FinishWord, string>> = {
  stop: "end_turn",
  stop_sequence: "stop_sequence",
  length: "max_tokens",
  tool_calls: "tool_use",
  content_filter: "content_filtered",
  refusal: "content_filtered",
  pause: "end_turn",
};

function converseUsage({ inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens }: Counts): JsonObject {
  return {
    // Cached tokens stand outside.
    inputTokens: Math.max(0, inputTokens - cacheReadTokens - cacheWriteTokens),
    outputTokens,
    totalTokens: inputTokens + outputTokens,
    cacheReadInputTokens: cacheReadTokens,
    cacheWriteInputTokens: cacheWriteTokens,
  };
}

/** Failures inside a stream, by what their status would be. */
const streamExceptions: Readonly<Record<string, string>> = {
  InternalServerException: "internalServerException",
  ServiceUnavailableException: "serviceUnavailableException",
  ThrottlingException: "throttlingException",
  ValidationException: "validationException",
};

class ConverseWriter implements AnswerWriter {
  readonly #reading: Reading;
  readonly #fold = new AnswerFold();

  constructor(reading: Reading) {
    this.#reading = reading;
  }

  begin(): Frame[] {
    return [frame("messageStart", { role: "assistant", ...this.#reading.unknown })];
  }

  write(move: ContentMove): Frame[] {
    // The vendor gives one answer; a script's further ones have no place here.
    if (move.candidate > 0) return [];
    if (move.is === "close" && move.signature !== undefined) noteScripted("anthropic", move.signature);
    this.#fold.add(move);
    if (move.is === "finish") return [];
    const block = this.#fold.block(move.candidate, move.block);
    const contentBlockIndex = move.block;
    if (move.is === "open") {
      // Only calls have a start; text and reasoning begin with their first delta.
      if (block.kind !== "call") return [];
      return [frame("contentBlockStart", { contentBlockIndex, start: { toolUse: { toolUseId: block.id, name: block.name } } })];
    }
    if (move.is === "close") return this.#close(block, contentBlockIndex);
    if (move.hidden) return [];
    if (block.kind === "call") return [delta(contentBlockIndex, { toolUse: { input: move.text } })];
    return [delta(contentBlockIndex, block.kind === "reasoning" ? { reasoningContent: { text: move.text } } : { text: move.text })];
  }

  #close({ kind, text, redacted, signature, citations }: FoldedBlock, contentBlockIndex: number): Frame[] {
    const stop = frame("contentBlockStop", { contentBlockIndex });
    if (kind === "text") return [...citations.map((one) => delta(contentBlockIndex, { citation: citationOf(one, text) })), stop];
    if (kind !== "reasoning" || signature === undefined) return [stop];
    return [delta(contentBlockIndex, { reasoningContent: redacted ? { redactedContent: signature } : { signature } }), stop];
  }

  end(usage: JsonObject | undefined): Frame[] {
    return [
      frame("messageStop", { stopReason: this.#stopReason() }),
      frame("metadata", { ...(usage === undefined ? {} : { usage }), metrics: { latencyMs: 42 } }),
    ];
  }

  usageOnly(usage: JsonObject): Frame[] {
    return [frame("metadata", { usage, metrics: { latencyMs: 42 } })];
  }

  error(problem: Problem): Frame[] {
    const type = streamExceptions[problemType(problem)] ?? "modelStreamErrorException";
    return [exceptionFrame(type, String(bedrockVendor.error(problem).message))];
  }

  /** The vendor has none: the record that says nothing. */
  keepAlive(): Frame[] {
    return [frame("initial-response", {})];
  }

  body(usage: JsonObject | undefined): JsonObject {
    const blocks = this.#fold.candidates[0]?.blocks ?? [];
    return {
      output: { message: { role: "assistant", content: blocks.map(wholeBlock) } },
      stopReason: this.#stopReason(),
      ...(usage === undefined ? {} : { usage }),
      metrics: { latencyMs: 42 },
      ...this.#reading.unknown,
    };
  }

  #stopReason(): string {
    return finishWords[this.#fold.candidates[0]?.finish ?? "stop"];
  }
}

/** `p` is what the service pads its records with. */
function frame(event: string, data: JsonObject): Frame {
  return { event, data: { ...data, p: "abcdefgh" } };
}

function delta(contentBlockIndex: number, value: JsonObject): Frame {
  return frame("contentBlockDelta", { contentBlockIndex, delta: value });
}

function citationOf({ url, title, start, end }: Citation, text: string): JsonObject {
  return { title, sourceContent: [{ text: [...text].slice(start, end).join("") }], location: { web: { url } } };
}

function wholeBlock({ kind, id, name, text, signature, redacted, citations }: FoldedBlock): JsonObject {
  if (kind === "call") return { toolUse: { toolUseId: id, name, input: readInput(text) } };
  if (citations.length > 0) return { citationsContent: { content: [{ text }], citations: citations.map((one) => citationOf(one, text)) } };
  if (kind !== "reasoning") return { text };
  if (redacted) return { reasoningContent: { redactedContent: signature ?? "" } };
  return { reasoningContent: { reasoningText: { text, ...(signature === undefined ? {} : { signature }) } } };
}

/** Arguments that are no JSON (a script may write such) stay what they are. */
function readInput(text: string): unknown {
  try {
    return JSON.parse(text === "" ? "{}" : text);
  } catch {
    return { _raw: text };
  }
}
