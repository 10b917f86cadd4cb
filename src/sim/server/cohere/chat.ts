/** Cohere's v2 chat, as it answers. */
import type { Counts } from "../../compose.ts";
import type { Citation, FinishWord } from "../../script.ts";
import type { JsonObject } from "../../shape.ts";
import { tokensOf } from "../../tokens.ts";
import { AnswerFold, type FoldedBlock } from "../answer-fold.ts";
import { newId } from "../ids.ts";
import type { Problem } from "../problem.ts";
import type { AnswerWriter, ContentMove, Frame, Reading, Wire } from "../wire.ts";
import { readChat } from "./read.ts";
import { cohereVendor } from "./vendor.ts";

export const cohereWire: Wire = {
  format: "cohere-chat",
  family: "cohere",
  lineEnd: "\n",
  // Calls follow one another.
  interleave: false,
  callIdPrefix: "",
  vendor: cohereVendor,
  read: readChat,
  writer: (reading) => new ChatWriter(reading),
  usage: chatUsage,
};

const finishWords: Readonly<Record<FinishWord, string>> = {
  stop: "COMPLETE",
  stop_sequence: "STOP_SEQUENCE",
  length: "MAX_TOKENS",
  tool_calls: "TOOL_CALL",
  content_filter: "COMPLETE",
  refusal: "COMPLETE",
  pause: "COMPLETE",
};

function chatUsage({ inputTokens, outputTokens, cacheReadTokens }: Counts): JsonObject {
  return {
    billed_units: { input_tokens: inputTokens, output_tokens: outputTokens },
    tokens: { input_tokens: inputTokens, output_tokens: outputTokens },
    cached_tokens: cacheReadTokens,
  };
}

/** Models before those that think say what they plan beside their calls. */
const planningModel = /command-r/;

type Form = "plan" | "content" | "call";

class ChatWriter implements AnswerWriter {
  readonly #reading: Reading;
  readonly #fold = new AnswerFold();
  readonly #id = newId("");
  readonly #logprobs: boolean;

  constructor(reading: Reading) {
    this.#reading = reading;
    this.#logprobs = reading.body.logprobs === true;
  }

  begin(): Frame[] {
    const message = { role: "assistant", content: [], tool_plan: "", tool_calls: [], citations: [] };
    return [frame("message-start", { id: this.#id, delta: { message }, ...this.#reading.unknown })];
  }

  write(move: ContentMove): Frame[] {
    // The vendor gives one answer; a script's further ones have no place here.
    if (move.candidate > 0) return [];
    this.#fold.add(move);
    if (move.is === "finish") return [];
    const block = this.#fold.block(move.candidate, move.block);
    const form = this.#form(block);
    const index = this.#indexOf(block);
    if (form === "plan") {
      return move.is === "grow" && !move.hidden ? [frame("tool-plan-delta", { delta: { message: { tool_plan: move.text } } })] : [];
    }
    if (move.is === "open") return block.kind === "reasoning" ? [] : [startOf(block, index)];
    if (move.is === "close") return this.#close(block, index);
    if (move.hidden) return [];
    if (form === "call")
      return [frame("tool-call-delta", { index, delta: { message: { tool_calls: { function: { arguments: move.text } } } } })];
    // Whether reasoning is hidden shows with its first piece: its start waits.
    const start = block.kind === "reasoning" && block.text === move.text ? [startOf(block, index)] : [];
    const content = block.kind === "reasoning" ? { thinking: move.text } : { text: move.text };
    const logprobs = this.#logprobs && block.kind !== "reasoning" ? { logprobs: logprobOf(move.text) } : {};
    return [...start, frame("content-delta", { index, delta: { message: { content } }, ...logprobs })];
  }

  #close(block: FoldedBlock, index: number): Frame[] {
    if (block.kind === "call") return [frame("tool-call-end", { index })];
    if (block.kind === "reasoning" && block.text === "") return [];
    const citations = block.citations.flatMap((one, at) => [
      frame("citation-start", { index: at, delta: { message: { citations: citationOf(one, block.text, index) } } }),
      frame("citation-end", { index: at }),
    ]);
    return [...citations, frame("content-end", { index })];
  }

  end(usage: JsonObject | undefined): Frame[] {
    const delta = { finish_reason: this.#finish(), ...(usage === undefined ? {} : { usage }) };
    return [frame("message-end", { id: this.#id, delta })];
  }

  /** Usage comes with the end, and nowhere else. */
  usageOnly(): Frame[] {
    return [];
  }

  error(problem: Problem): Frame[] {
    const { message } = cohereVendor.error(problem);
    return [frame("message-end", { id: this.#id, delta: { error: message, finish_reason: "ERROR" } })];
  }

  keepAlive(): Frame[] {
    return [];
  }

  body(usage: JsonObject | undefined): JsonObject {
    const blocks = this.#fold.candidates[0]?.blocks ?? [];
    const plan = blocks.filter((block) => this.#form(block) === "plan").map(({ text }) => text);
    const contents = blocks.filter((block) => this.#form(block) === "content" && (block.kind !== "reasoning" || block.text !== ""));
    const calls = blocks.filter(({ kind }) => kind === "call").map(callOf);
    const citations = contents.flatMap((block, index) => block.citations.map((one) => citationOf(one, block.text, index)));
    const text = contents.filter(({ kind }) => kind !== "reasoning").map((block) => block.text);
    return {
      id: this.#id,
      finish_reason: this.#finish(),
      message: {
        role: "assistant",
        ...(contents.length === 0 ? {} : { content: contents.map(wholeContent) }),
        ...(plan.length === 0 ? {} : { tool_plan: plan.join("") }),
        ...(calls.length === 0 ? {} : { tool_calls: calls }),
        ...(citations.length === 0 ? {} : { citations }),
      },
      ...(usage === undefined ? {} : { usage }),
      ...(this.#logprobs ? { logprobs: [...text.join("").matchAll(/[\s\S]{1,4}/gu)].map(([piece]) => logprobOf(piece)) } : {}),
      ...this.#reading.unknown,
    };
  }

  #finish(): string {
    return finishWords[this.#fold.candidates[0]?.finish ?? "stop"];
  }

  #form({ kind }: FoldedBlock): Form {
    if (kind === "call") return "call";
    return kind === "reasoning" && planningModel.test(this.#reading.model) ? "plan" : "content";
  }

  /** Contents and calls are counted apart; what was hidden does not count. */
  #indexOf(block: FoldedBlock): number {
    const before = (this.#fold.candidates[0]?.blocks ?? []).filter((one) => one !== undefined);
    const same = before.slice(0, before.indexOf(block)).filter((one) => this.#form(one) === this.#form(block));
    return same.filter((one) => one.kind !== "reasoning" || one.text !== "").length;
  }
}

function frame(type: string, rest: JsonObject): Frame {
  return { event: type, data: { type, ...rest } };
}

function startOf(block: FoldedBlock, index: number): Frame {
  if (block.kind === "call") {
    const call = { id: block.id, type: "function", function: { name: block.name, arguments: "" } };
    return frame("tool-call-start", { index, delta: { message: { tool_calls: call } } });
  }
  const content = block.kind === "reasoning" ? { type: "thinking", thinking: "" } : { type: "text", text: "" };
  return frame("content-start", { index, delta: { message: { content } } });
}

function callOf({ id, name, text }: FoldedBlock): JsonObject {
  return { id, type: "function", function: { name, arguments: text === "" ? "{}" : text } };
}

function wholeContent({ kind, text }: FoldedBlock): JsonObject {
  return kind === "reasoning" ? { type: "thinking", thinking: text } : { type: "text", text };
}

function citationOf({ url, title, start, end }: Citation, text: string, contentIndex: number): JsonObject {
  return {
    start,
    end,
    text: [...text].slice(start, end).join(""),
    sources: [{ type: "document", id: "doc:0", document: { id: "doc:0", title, url } }],
    content_index: contentIndex,
    type: "TEXT_CONTENT",
  };
}

/** The same piece always gets the same probability. */
function logprobOf(text: string): JsonObject {
  return { text, token_ids: [text.codePointAt(0) ?? 0], logprobs: [-(tokensOf(text) / 8)] };
}
