/**
 * The conversation in the order of formats where turns alternate: instructions on top, user and assistant in turn, user
 * first, and the results of calls first in the user message right after them, all of them, in the order of the calls.
 */
import { type Message, Role } from "../../gen/dragoman/v1/generate_pb.ts";
import { type Exchange, groupExchanges, matchResults } from "./exchanges.ts";
import { reportForeignExtras, writeExtras } from "./extras.ts";
import type { WritableObject } from "./json.ts";
import type { Target } from "./target.ts";
import type { TranslationReport } from "./translation.ts";
import { type PartForms, type WrittenPart, writeInstructions, writeParts } from "./written-parts.ts";

/** What formats whose turns alternate differ in. */
export interface TurnForms {
  /** The wire format's name in extras_json. */
  readonly format: string;
  readonly parts: PartForms;
  /** A block of plain text. */
  writeText(text: string): WritableObject;
  /** An id for the call that uses one of an earlier turn again; `occurrence` counts from 2. */
  repeatedId(id: string, occurrence: number): string;
  /** Gives the block of a call another id. */
  renameCall(block: WritableObject, id: string): void;
  /** The same of the block of a result. */
  renameResult(block: WritableObject, id: string): void;
  /** Whether an answer that holds such a block was broken off by the provider, and goes on by itself. */
  isPaused?(block: WritableObject): boolean;
}

export interface TurnFacts {
  readonly target: Target;
  readonly report: TranslationReport;
}

type WireRole = "user" | "assistant" | "system";

export interface WireMessage extends WritableObject {
  readonly role: WireRole;
  readonly content: WritableObject[];
}

/** One message of the request, written; never empty. */
export interface Entry {
  readonly role: WireRole;
  readonly path: string;
  readonly message: Message;
  readonly parts: readonly WrittenPart[];
}

export interface Turns {
  readonly system: WritableObject[];
  /** Without empty ones, and no two of a role beside each other. */
  readonly messages: WireMessage[];
  readonly entries: readonly Entry[];
  readonly exchanges: readonly Exchange<Entry>[];
}

/** Reports what is refused: a call without its result, a result without its call. */
export function alternateTurns(messages: readonly Message[], forms: TurnForms, facts: TurnFacts): Turns {
  const { report } = facts;
  const isInstruction = ({ role }: Message) => role === Role.SYSTEM || role === Role.DEVELOPER;
  const firstTurn = messages.findIndex((message) => !isInstruction(message));
  // The API needs a user: with instructions alone the last of them speaks for one.
  const leading = firstTurn === -1 ? Math.max(0, messages.length - 1) : firstTurn;
  const system = messages.slice(0, leading).flatMap((message, index) => {
    const blocks = writeInstructions(message, `messages[${index}]`, forms.parts, report);
    reportForeignExtras(message.extrasJson, forms.format, `messages[${index}]`, report);
    return blocks;
  });
  const entries = messages.slice(leading).flatMap((message, index): Entry[] => {
    const path = `messages[${leading + index}]`;
    return isInstruction(message)
      ? writeLaterInstruction(message, path, firstTurn === -1, forms, facts)
      : writeTurn(message, path, forms, report);
  });
  const exchanges = groupExchanges(entries, ({ role }) => role === "assistant");
  const occurrences = new Map<string, number>();
  const written = exchanges.flatMap((exchange) => writeExchange(exchange, occurrences, forms, report));
  return { system, messages: mergeNeighbours(written), entries, exchanges };
}

/** Puts a user before an assistant who would speak first, and refuses a conversation without a word. */
export function startWithUser({ messages, entries }: Turns, forms: TurnForms, { report }: TurnFacts): void {
  if (messages.length === 0) report.refused("messages", "must hold something other than empty text");
  if (messages[0]?.role !== "assistant") return;
  report.emulated(entries[0]?.path ?? "messages", 'a user message "." before it, as a user speaks first');
  messages.unshift({ role: "user", content: [forms.writeText(".")] });
}

/** An assistant's last message is to be continued: most models refuse that, unless the provider itself had paused there. */
export function checkLastTurn({ messages, exchanges }: Turns, { isPaused }: TurnForms, { target, report }: TurnFacts): void {
  const last = messages.at(-1);
  const lastBlock = last?.content.at(-1);
  if (last?.role !== "assistant" || lastBlock === undefined) return;
  if (isPaused !== undefined && last.content.some(isPaused)) return;
  const entry = exchanges.at(-1)?.asked.at(-1);
  const path = entry?.path ?? "messages";
  if (target.traits.prefill !== true) {
    report.refused(path, "the model does not continue an assistant message; end with a user message");
    return;
  }
  const text = typeof lastBlock.text === "string" ? lastBlock.text : "";
  if (text === text.trimEnd()) return;
  // White space at the end of what is to be continued is refused.
  lastBlock.text = text.trimEnd();
  report.coerced(entry?.parts.at(-1)?.path ?? path, "without the white space at its end");
}

function writeTurn(message: Message, path: string, { parts: forms }: TurnForms, report: TranslationReport): Entry[] {
  const parts = writeParts(message, path, forms, report);
  return parts.length === 0 ? [] : [{ role: message.role === Role.ASSISTANT ? "assistant" : "user", path, message, parts }];
}

/** Instructions after the first turn, where the model takes them; else what a user says, marked for what it is. */
function writeLaterInstruction(
  message: Message,
  path: string,
  isOnly: boolean,
  { parts: forms }: TurnForms,
  { target, report }: TurnFacts,
): Entry[] {
  const blocks = writeInstructions(message, path, forms, report);
  if (blocks.length === 0) return [];
  const carried = !isOnly && target.traits.midSystem === true;
  if (!carried) {
    report.emulated(path, isOnly ? "a user message, as one is needed" : "a user message that is marked as a system message");
    if (!isOnly) for (const block of blocks) if (typeof block.text === "string") block.text = `<system>\n${block.text}\n</system>`;
  }
  return [{ role: carried ? "system" : "user", path, message, parts: blocks.map((block) => ({ path, block })) }];
}

/** `occurrences` counts how often each call id was used so far. */
function writeExchange(
  { asked, answered }: Exchange<Entry>,
  occurrences: Map<string, number>,
  forms: TurnForms,
  report: TranslationReport,
): WireMessage[] {
  const askedParts = asked.flatMap(({ parts }) => parts);
  const media = askedParts.filter(({ isMedia }) => isMedia === true);
  for (const { path } of media) report.emulated(path, "moved to the next user message");
  const calls = askedParts.filter(isCall);
  const results = matchResults(calls, answered.flatMap(({ parts }) => parts).filter(isResult), report);
  for (const call of calls) keepApart(call, results, occurrences, forms);
  const messages: WireMessage[] = [
    { role: "assistant", content: blocksOf(askedParts.filter(({ isMedia }) => isMedia !== true)) },
    { role: "user", content: [...blocksOf(results), ...results.flatMap(({ after = [] }) => after), ...blocksOf(media)] },
    ...answered.map(({ role, parts }) => ({ role, content: blocksOf(parts.filter((part) => !isResult(part))) })),
  ];
  for (const { role, message, path } of [...asked, ...answered]) {
    // Messages have no more fields today; those of messages that become one are put together.
    const target = messages.find((candidate) => candidate.role === role && candidate.content.length > 0) ?? {};
    writeExtras(target, message.extrasJson, forms.format, path, report);
  }
  return messages;
}

function isCall(part: WrittenPart): part is WrittenPart & { readonly callId: string } {
  return part.callId !== undefined;
}

function isResult(part: WrittenPart): part is WrittenPart & { readonly resultId: string } {
  return part.resultId !== undefined;
}

/** Some servers count their call ids anew in every turn; here they are unique in the conversation. */
function keepApart(
  { callId, block }: WrittenPart & { readonly callId: string },
  results: readonly WrittenPart[],
  occurrences: Map<string, number>,
  forms: TurnForms,
): void {
  const occurrence = (occurrences.get(callId) ?? 0) + 1;
  occurrences.set(callId, occurrence);
  if (occurrence === 1) return;
  const id = forms.repeatedId(callId, occurrence);
  forms.renameCall(block, id);
  for (const result of results) if (result.resultId === callId) forms.renameResult(result.block, id);
}

function blocksOf(parts: readonly WrittenPart[]): WritableObject[] {
  return parts.map(({ block }) => block);
}

/** Messages without content go, and those of one role that then stand together become one: parts appended, text not joined. */
function mergeNeighbours(messages: readonly WireMessage[]): WireMessage[] {
  const merged: WireMessage[] = [];
  for (const message of messages) {
    if (message.content.length === 0) continue;
    const last = merged.at(-1);
    if (last?.role === message.role) {
      const { content } = last;
      merged[merged.length - 1] = { ...message, ...last, content: [...content, ...message.content] };
    } else merged.push(message);
  }
  return merged;
}
