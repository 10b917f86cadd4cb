/** OpenAI Responses, as it answers. */
import type { Counts } from "../../compose.ts";
import type { Citation, FinishWord } from "../../script.ts";
import type { JsonObject } from "../../shape.ts";
import { AnswerFold, type FoldedBlock } from "../answer-fold.ts";
import { newId, nowSeconds } from "../ids.ts";
import { noteScripted } from "../issued.ts";
import type { Problem } from "../problem.ts";
import type { AnswerWriter, ContentMove, Frame, Reading, Wire } from "../wire.ts";
import { storeItems } from "./response-store.ts";
import { readEarlier, readResponses } from "./responses-read.ts";
import { openaiVendor } from "./vendor.ts";

export const responsesWire: Wire = {
  format: "openai-responses",
  family: "openai",
  lineEnd: "\n",
  // Items follow one another.
  interleave: false,
  callIdPrefix: "call_",
  vendor: openaiVendor,
  read: readResponses,
  writer: (reading) => new ResponsesWriter(reading),
  usage: responsesUsage,
};

function responsesUsage({ inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens, reasoningTokens }: Counts): JsonObject {
  return {
    input_tokens: inputTokens,
    input_tokens_details: { cached_tokens: cacheReadTokens, ...(cacheWriteTokens > 0 ? { cache_write_tokens: cacheWriteTokens } : {}) },
    output_tokens: outputTokens,
    output_tokens_details: { reasoning_tokens: reasoningTokens },
    total_tokens: inputTokens + outputTokens,
  };
}

/** Neighbouring text and refusal blocks are parts of one message. */
interface Item {
  readonly id: string;
  readonly kind: "message" | "reasoning" | "call" | "custom";
  readonly blocks: FoldedBlock[];
}

const prefixes = { message: "msg_", reasoning: "rs_", call: "fc_", custom: "ctc_" };
const echoed = ["instructions", "metadata", "parallel_tool_calls", "temperature", "tool_choice", "tools", "top_p", "max_output_tokens"];
const echoedToo = ["previous_response_id", "reasoning", "text", "truncation", "user", "store", "service_tier", "background"];

class ResponsesWriter implements AnswerWriter {
  readonly #reading: Reading;
  readonly #fold = new AnswerFold();
  readonly #id = newId("resp_");
  readonly #created = nowSeconds();
  readonly #items: Item[] = [];
  readonly #encrypted: boolean;
  /** Names of the tools that take free text. */
  readonly #customTools: ReadonlySet<unknown>;
  #sequence = 0;
  #finish: FinishWord = "stop";

  constructor(reading: Reading) {
    this.#reading = reading;
    this.#encrypted = ((reading.body.include ?? []) as string[]).includes("reasoning.encrypted_content");
    const tools = (reading.body.tools ?? []) as { type?: string; name?: string }[];
    this.#customTools = new Set(tools.filter(({ type }) => type === "custom").map(({ name }) => name));
  }

  begin(): Frame[] {
    // Both come at once, before any item.
    const response = this.#response("in_progress", undefined);
    return [this.#frame("response.created", { response }), this.#frame("response.in_progress", { response })];
  }

  write(move: ContentMove): Frame[] {
    // The vendor gives one answer; a script's further ones have no place here.
    if (move.candidate > 0) return [];
    if (move.is === "close" && move.signature !== undefined) noteScripted("openai", move.signature);
    this.#fold.add(move);
    if (move.is === "finish") {
      this.#finish = move.reason;
      return this.#doneMessage();
    }
    const block = this.#fold.block(move.candidate, move.block);
    if (move.is === "open") return this.#open(block);
    if (move.is === "close") return this.#close(block);
    return move.hidden ? [] : this.#grow(block, move.text);
  }

  #open(block: FoldedBlock): Frame[] {
    const kind = this.#kindOf(block);
    const last = this.#items.at(-1);
    if (kind === "message" && last?.kind === "message") {
      last.blocks.push(block);
      return [this.#part("response.content_part.added", emptyPart(block))];
    }
    const done = this.#doneMessage();
    const item: Item = { id: newId(prefixes[kind]), kind, blocks: [block] };
    this.#items.push(item);
    const added = this.#frame("response.output_item.added", { output_index: this.#index, item: this.#addedItem(item) });
    if (kind === "message") return [...done, added, this.#part("response.content_part.added", emptyPart(block))];
    return [...done, added];
  }

  #kindOf({ kind, name }: FoldedBlock): Item["kind"] {
    if (kind === "call") return this.#customTools.has(name) ? "custom" : "call";
    return kind === "reasoning" ? kind : "message";
  }

  #grow(block: FoldedBlock, text: string): Frame[] {
    if (this.#kindOf(block) === "custom") return [this.#delta("response.custom_tool_call_input.delta", { delta: text })];
    if (block.kind === "call") return [this.#delta("response.function_call_arguments.delta", { delta: text })];
    if (block.kind === "refusal") return [this.#delta("response.refusal.delta", { content_index: this.#contentIndex, delta: text })];
    if (block.kind === "text")
      return [this.#delta("response.output_text.delta", { content_index: this.#contentIndex, delta: text, logprobs: [] })];
    const first = block.text === text;
    const added = first
      ? [this.#delta("response.reasoning_summary_part.added", { summary_index: 0, part: { type: "summary_text", text: "" } })]
      : [];
    return [...added, this.#delta("response.reasoning_summary_text.delta", { summary_index: 0, delta: text })];
  }

  #close(block: FoldedBlock): Frame[] {
    const { text } = block;
    if (this.#kindOf(block) === "custom") return [this.#delta("response.custom_tool_call_input.done", { input: text }), this.#itemDone()];
    if (block.kind === "call") {
      const done = this.#delta("response.function_call_arguments.done", { name: block.name, arguments: text });
      return [done, this.#itemDone()];
    }
    if (block.kind === "reasoning") {
      if (text === "") return [this.#itemDone()];
      return [
        this.#delta("response.reasoning_summary_text.done", { summary_index: 0, text }),
        this.#delta("response.reasoning_summary_part.done", { summary_index: 0, part: { type: "summary_text", text } }),
        this.#itemDone(),
      ];
    }
    const content_index = this.#contentIndex;
    const cited = block.citations.map((citation, annotation_index) =>
      this.#delta("response.output_text.annotation.added", { content_index, annotation_index, annotation: annotationOf(citation) }),
    );
    const done =
      block.kind === "refusal"
        ? this.#delta("response.refusal.done", { content_index, refusal: text })
        : this.#delta("response.output_text.done", { content_index, text, logprobs: [] });
    return [...cited, done, this.#part("response.content_part.done", wholePart(block))];
  }

  /** A message is done when something else begins, or nothing more. */
  #doneMessage(): Frame[] {
    return this.#items.at(-1)?.kind === "message" ? [this.#itemDone()] : [];
  }

  #itemDone(): Frame {
    const item = this.#items.at(-1);
    return this.#frame("response.output_item.done", { output_index: this.#index, item: item === undefined ? {} : this.#wholeItem(item) });
  }

  end(usage: JsonObject | undefined): Frame[] {
    const response = this.#ended(usage);
    return [this.#frame(response.status === "incomplete" ? "response.incomplete" : "response.completed", { response })];
  }

  usageOnly(usage: JsonObject): Frame[] {
    return [this.#frame("response.in_progress", { response: { ...this.#response("in_progress", undefined), usage } })];
  }

  error(problem: Problem): Frame[] {
    const { error } = openaiVendor.error(problem) as { error: { message: string; code: string | null } };
    const code = error.code ?? (problem.status === 429 ? "rate_limit_exceeded" : "server_error");
    const response = { ...this.#response("failed", undefined), error: { code, message: error.message } };
    return [this.#frame("response.failed", { response })];
  }

  keepAlive(): Frame[] {
    return [];
  }

  body(usage: JsonObject | undefined): JsonObject {
    return this.#ended(usage);
  }

  #ended(usage: JsonObject | undefined): JsonObject {
    const reason = this.#finish === "length" ? "max_output_tokens" : this.#finish === "content_filter" ? "content_filter" : undefined;
    const response = this.#response(reason === undefined ? "completed" : "incomplete", usage);
    if (reason !== undefined) response.incomplete_details = { reason };
    const { body } = this.#reading;
    if (body.store !== false) {
      const given = typeof body.input === "string" ? [{ role: "user", content: body.input }] : ((body.input ?? []) as JsonObject[]);
      storeItems(this.#id, [...readEarlier(body), ...given, ...(response.output as JsonObject[])]);
    }
    return response;
  }

  #response(status: string, usage: JsonObject | undefined): JsonObject {
    const { body } = this.#reading;
    const asked = Object.fromEntries([...echoed, ...echoedToo].map((name) => [name, body[name] ?? defaults[name] ?? null]));
    return {
      ...asked,
      id: this.#id,
      object: "response",
      created_at: this.#created,
      status,
      error: null,
      incomplete_details: null,
      model: this.#reading.model,
      output: status === "in_progress" ? [] : this.#items.map((item) => this.#wholeItem(item)),
      ...(usage === undefined ? {} : { usage }),
      ...this.#reading.unknown,
    };
  }

  #addedItem({ id, kind, blocks: [block] }: Item): JsonObject {
    if (kind === "message") return { id, type: "message", status: "in_progress", role: "assistant", content: [] };
    if (kind === "reasoning") return { id, type: "reasoning", summary: [], ...(this.#encrypted ? { encrypted_content: "" } : {}) };
    if (kind === "custom") return { id, type: "custom_tool_call", call_id: block?.id, name: block?.name, input: "" };
    return { id, type: "function_call", status: "in_progress", call_id: block?.id, name: block?.name, arguments: "" };
  }

  #wholeItem({ id, kind, blocks }: Item): JsonObject {
    const [block] = blocks;
    const status = blocks.some(({ incomplete }) => incomplete) ? "incomplete" : "completed";
    if (kind === "message") return { id, type: "message", status, role: "assistant", content: blocks.map(wholePart) };
    if (kind === "call") return { id, type: "function_call", status, call_id: block?.id, name: block?.name, arguments: block?.text };
    if (kind === "custom") return { id, type: "custom_tool_call", call_id: block?.id, name: block?.name, input: block?.text };
    const summary = block === undefined || block.text === "" ? [] : [{ type: "summary_text", text: block.text }];
    return { id, type: "reasoning", summary, ...(this.#encrypted ? { encrypted_content: block?.signature ?? null } : {}) };
  }

  get #index(): number {
    return this.#items.length - 1;
  }

  get #contentIndex(): number {
    return (this.#items.at(-1)?.blocks.length ?? 1) - 1;
  }

  #part(type: string, part: JsonObject): Frame {
    return this.#delta(type, { content_index: this.#contentIndex, part });
  }

  #delta(type: string, rest: JsonObject): Frame {
    return this.#frame(type, { item_id: this.#items.at(-1)?.id ?? "", output_index: this.#index, ...rest });
  }

  #frame(type: string, rest: JsonObject): Frame {
    return { event: type, data: { type, sequence_number: this.#sequence++, ...rest } };
  }
}

const defaults: JsonObject = {
  parallel_tool_calls: true,
  temperature: 1,
  top_p: 1,
  tool_choice: "auto",
  tools: [],
  metadata: {},
  truncation: "disabled",
  store: true,
  service_tier: "default",
  text: { format: { type: "text" } },
  reasoning: { effort: null, summary: null },
  background: false,
};

function emptyPart({ kind }: FoldedBlock): JsonObject {
  return kind === "refusal" ? { type: "refusal", refusal: "" } : { type: "output_text", text: "", annotations: [], logprobs: [] };
}

function wholePart({ kind, text, citations }: FoldedBlock): JsonObject {
  if (kind === "refusal") return { type: "refusal", refusal: text };
  return { type: "output_text", text, annotations: citations.map(annotationOf), logprobs: [] };
}

function annotationOf({ url, title, start, end }: Citation): JsonObject {
  return { type: "url_citation", start_index: start, end_index: end, url, title };
}
