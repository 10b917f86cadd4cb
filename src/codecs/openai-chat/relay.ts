/**
 * Answers of chat completion servers for chat completion clients, in the server's own bytes (design.md 4, rule 10). What
 * clients would notice is put right in the one record where it stands: usage that only the gateway asked for, tool calls
 * without their index or id, reasoning under its other name, a finish reason that is none of the API's.
 */
import { BlockKind } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { ClientWire } from "../../core/call.ts";
import { CallState } from "../../core/call-state.ts";
import type { AnswerRelay, RelayCodec, UpstreamRequest } from "../../core/dialect.ts";
import type { GenerateEvent } from "../../core/event.ts";
import {
  isJsonObject,
  type JsonObject,
  type JsonValue,
  tryParseJson,
  upstreamJsonLimits,
  type Writable,
  type WritableObject,
  writeJson,
} from "../../core/json.ts";
import type { SseRecord } from "../../core/sse.ts";
import { patchRequest } from "./patch-request.ts";
import type { OpenAiChatQuirks } from "./quirks.ts";
import { finishWord } from "./wire.ts";

export function createRelay(quirks: OpenAiChatQuirks): RelayCodec {
  return {
    patchRequest: (request, wire, target, options) => patchRequest(request, wire, target, options, quirks),
    relayAnswer: (written, wire) => (answersAsAsked(written, wire, quirks) ? new ChatAnswerRelay(wire.includeUsage) : undefined),
  };
}

/** Not where the answer holds what the writer emulated, or counts that clients would read wrongly, or lacks them. */
function answersAsAsked({ state }: UpstreamRequest, { includeUsage }: ClientWire, quirks: OpenAiChatQuirks): boolean {
  if (quirks.reasoningOutsideCompletion === true || (includeUsage && quirks.streamOptions === false)) return false;
  return !(state instanceof CallState) || !state.isNeeded;
}

const endMark = "[DONE]";

/** Keep-alives stay; line ends that stand alone do not. */
function writeComment(source: string): string {
  const comment = /[\r\0]/.test(source) ? source.replace(/\r\n?/g, "\n").replaceAll("\0", "") : source;
  return comment.trim() === "" ? "" : comment;
}

/** `data: {...}` and an empty line, as OpenAI writes every record and many clients read nothing else. */
function inUsualForm(source: string, data: string): string {
  if (source.startsWith("data: ") && !source.includes("\r")) return source;
  return `data: ${data.replaceAll("\n", "\ndata: ")}\n\n`;
}

/** A quote inside a JSON string is escaped, so these are members wherever they stand. */
const nullUsage = /,\s*"usage"\s*:\s*null(?=\s*[,}])/;
const contentList = /"content"\s*:\s*\[/;

interface Block {
  readonly kind: BlockKind;
  /** Place among the tool calls of its candidate. */
  readonly tool: number;
}

/** What the events of one record are about, per candidate. */
interface Delta {
  text: string;
  reasoning: string;
  readonly opened: { readonly tool: number; readonly id: string; readonly name: string }[];
  readonly grown: { readonly tool: number; readonly text: string }[];
  /** The word to write; undefined where the server's own is right. */
  finish: string | undefined;
}

class ChatAnswerRelay implements AnswerRelay {
  readonly #includeUsage: boolean;
  readonly #blocks = new Map<number, Block[]>();
  readonly #tools = new Map<number, number>();
  #hasUsage = false;
  #isEnded = false;

  constructor(includeUsage: boolean) {
    this.#includeUsage = includeUsage;
  }

  writeRecord({ frame, source: sent }: SseRecord, events: readonly GenerateEvent[]): string {
    if (frame === undefined) return writeComment(sent);
    const { data } = frame;
    const source = inUsualForm(sent, data);
    if (data.trim() === endMark) {
      this.#isEnded = true;
      return this.#lacksUsage ? "" : source;
    }
    const deltas = this.#follow(events);
    const isPlain = !data.includes('"tool_calls"') && !data.includes('"reasoning"') && !contentList.test(data) && !hasOtherFinish(deltas);
    if (isPlain) {
      if (this.#includeUsage || !data.includes('"usage"')) return source;
      // By far the most frequent: OpenAI says null on every record once usage was asked for.
      const without = source.replace(nullUsage, "");
      if (!without.includes('"usage"')) return without;
    }
    return this.#rewrite(data, source, deltas);
  }

  end(): string {
    return this.#isEnded || this.#lacksUsage ? "" : `data: ${endMark}\n\n`;
  }

  /** Asked for and never said: the writer ends the stream then, with the counts that the gateway has. */
  get #lacksUsage(): boolean {
    return this.#includeUsage && !this.#hasUsage;
  }

  keepsWhole(body: string, events: readonly GenerateEvent[]): boolean {
    let hasUsage = false;
    let isUsual = !contentList.test(body);
    for (const { event } of events) {
      if (event.case === "usage") hasUsage = true;
      else if (event.case === "finished") isUsual &&= finishWord(event.value.reason, true) === event.value.rawReason;
      else if (event.case === "blockStarted") {
        const { kind, toolCall } = event.value;
        if (kind === BlockKind.REASONING) isUsual &&= body.includes('"reasoning_content"');
        if (toolCall !== undefined) isUsual &&= body.includes(JSON.stringify(toolCall.id));
      }
    }
    return isUsual && hasUsage;
  }

  /** Keeps track of the blocks. */
  #follow(events: readonly GenerateEvent[]): ReadonlyMap<number, Delta> {
    const deltas = new Map<number, Delta>();
    for (const { event } of events) {
      if (event.case === "blockStarted") {
        const { candidate, index, kind, toolCall } = event.value;
        const tool = toolCall === undefined ? -1 : (this.#tools.get(candidate) ?? 0);
        if (toolCall !== undefined) {
          this.#tools.set(candidate, tool + 1);
          deltaOf(deltas, candidate).opened.push({ tool, id: toolCall.id, name: toolCall.name });
        }
        this.#blocksOf(candidate)[index] = { kind, tool };
      } else if (event.case === "blockDelta") {
        const { candidate, index, delta } = event.value;
        const block = this.#blocks.get(candidate)?.[index];
        if (block === undefined || (delta.case !== "text" && delta.case !== "argumentsJson")) continue;
        const written = deltaOf(deltas, candidate);
        if (block.tool !== -1) written.grown.push({ tool: block.tool, text: delta.value });
        else if (block.kind === BlockKind.REASONING) written.reasoning += delta.value;
        else if (block.kind === BlockKind.TEXT) written.text += delta.value;
      } else if (event.case === "usage") {
        this.#hasUsage = true;
      } else if (event.case === "finished") {
        const { candidate, reason, rawReason } = event.value;
        const word = finishWord(reason, true);
        if (word !== rawReason) deltaOf(deltas, candidate).finish = word;
      }
    }
    return deltas;
  }

  #blocksOf(candidate: number): Block[] {
    let blocks = this.#blocks.get(candidate);
    if (blocks === undefined) this.#blocks.set(candidate, (blocks = []));
    return blocks;
  }

  /** The record with what must differ; `source` where nothing does. */
  #rewrite(data: string, source: string, deltas: ReadonlyMap<number, Delta>): string {
    // Undefined for what the event reader takes and this one does not, such as a key that occurs twice.
    const chunk = tryParseJson(data, upstreamJsonLimits);
    if (!isJsonObject(chunk)) return source;
    const choices = Array.isArray(chunk.choices) ? chunk.choices : [];
    const hidesUsage = !this.#includeUsage && Object.hasOwn(chunk, "usage");
    if (hidesUsage && chunk.usage !== null && choices.length === 0) return "";
    let isChanged = hidesUsage;
    const written = choices.map((choice, position) => {
      if (!isJsonObject(choice)) return choice as Writable;
      const candidate = typeof choice.index === "number" ? choice.index : position;
      const changed = this.#rewriteChoice(choice, candidate, deltas.get(candidate));
      if (changed !== undefined) isChanged = true;
      return changed ?? (choice as Writable);
    });
    if (!isChanged) return source;
    const whole: WritableObject = { ...(chunk as WritableObject), choices: written };
    if (hidesUsage) delete whole.usage;
    return `data: ${writeJson(whole)}\n\n`;
  }

  #rewriteChoice(choice: JsonObject, candidate: number, delta: Delta = emptyDelta): WritableObject | undefined {
    const changed: WritableObject = {};
    if (delta.finish !== undefined) changed.finish_reason = delta.finish;
    const content = choice.delta;
    if (isJsonObject(content)) {
      const fixed = { ...(content as WritableObject) };
      const isFixed = [
        fixReasoning(fixed, content),
        fixContent(fixed, content, delta),
        fixCalls(fixed, content, delta, this.#tools.get(candidate) ?? 0),
      ];
      if (isFixed.includes(true)) changed.delta = fixed;
    }
    return Object.keys(changed).length === 0 ? undefined : { ...(choice as WritableObject), ...changed };
  }
}

const emptyDelta: Delta = { text: "", reasoning: "", opened: [], grown: [], finish: undefined };

function deltaOf(deltas: Map<number, Delta>, candidate: number): Delta {
  let delta = deltas.get(candidate);
  if (delta === undefined) deltas.set(candidate, (delta = { ...emptyDelta, opened: [], grown: [] }));
  return delta;
}

function hasOtherFinish(deltas: ReadonlyMap<number, Delta>): boolean {
  for (const { finish } of deltas.values()) if (finish !== undefined) return true;
  return false;
}

/** Most clients know `reasoning_content` alone. */
function fixReasoning(fixed: WritableObject, { reasoning, reasoning_content: usual }: JsonObject): boolean {
  if (typeof reasoning !== "string" || typeof usual === "string") return false;
  delete fixed.reasoning;
  fixed.reasoning_content = reasoning;
  return true;
}

/** Content as a list of parts (Mistral's reasoning models), which clients take for a string. */
function fixContent(fixed: WritableObject, { content }: JsonObject, { text, reasoning }: Delta): boolean {
  if (!Array.isArray(content) || !content.every(isTextOrThought)) return false;
  delete fixed.content;
  if (text !== "") fixed.content = text;
  if (reasoning !== "") fixed.reasoning_content = reasoning;
  return true;
}

function isTextOrThought(part: JsonValue): boolean {
  return typeof part === "string" || (isJsonObject(part) && (part.type === "text" || part.type === "thinking"));
}

/** `count`: tool calls of the candidate so far. Calls without a proper index or id are written as they were understood. */
function fixCalls(fixed: WritableObject, { tool_calls: calls }: JsonObject, { opened, grown }: Delta, count: number): boolean {
  if (!Array.isArray(calls)) return false;
  const entries = calls.map((call) => (isJsonObject(call) ? call : {}));
  const isUsual =
    entries.every(({ index }) => typeof index === "number" && index >= 0 && index < count) &&
    grown.every(({ tool }) => entries.some(({ index }) => index === tool)) &&
    opened.every(({ tool, id }) => entries.some((entry) => entry.index === tool && entry.id === id && typeof entry.type === "string"));
  if (isUsual) return false;
  const written: WritableObject[] = opened.map(({ tool, id, name }) => ({
    index: tool,
    id,
    type: "function",
    function: { name, arguments: "" },
  }));
  for (const { tool, text } of grown) written.push({ index: tool, function: { arguments: text } });
  if (written.length === 0) delete fixed.tool_calls;
  else fixed.tool_calls = written;
  return true;
}
