/**
 * The conversation in the order that the API takes: instructions on top, user and assistant in turn, user first, and the
 * results of calls first in the user message right after them, all of them, in the order of the calls.
 */

import { type Message, Role } from "../../../gen/dragoman/v1/generate_pb.ts";
import { reportForeignExtras, writeExtras } from "../../core/extras.ts";
import type { WritableObject } from "../../core/json.ts";
import { textMember } from "../../core/members.ts";
import type { TranslationReport } from "../../core/translation.ts";
import { repeatedId } from "./legal-names.ts";
import { formatName } from "./wire.ts";
import type { WriteContext } from "./write-context.ts";
import { PartWriter, type WrittenPart } from "./write-parts.ts";

export interface Conversation {
  readonly system: WritableObject[];
  readonly messages: WritableObject[];
}

type WireRole = "user" | "assistant" | "system";

/** One message of the request, written; never empty. */
interface Entry {
  readonly role: WireRole;
  readonly path: string;
  readonly message: Message;
  readonly parts: readonly WrittenPart[];
}

interface WireMessage extends WritableObject {
  readonly role: WireRole;
  readonly content: WritableObject[];
}

/** An assistant's turn and all that comes before the next one. */
interface Exchange {
  readonly asked: Entry[];
  readonly answered: Entry[];
}

/** Reports what is refused: a call without its result, a result without its call, an answer to be continued. */
export function regroupMessages(messages: readonly Message[], context: WriteContext): Conversation {
  const { report } = context;
  const writer = new PartWriter(context);
  const isInstruction = ({ role }: Message) => role === Role.SYSTEM || role === Role.DEVELOPER;
  const firstTurn = messages.findIndex((message) => !isInstruction(message));
  // The API needs a user: with instructions alone the last of them speaks for one.
  const leading = firstTurn === -1 ? Math.max(0, messages.length - 1) : firstTurn;
  const system = messages.slice(0, leading).flatMap((message, index) => {
    const blocks = writer.writeInstructions(message, `messages[${index}]`);
    reportForeignExtras(message.extrasJson, formatName, `messages[${index}]`, report);
    return blocks;
  });
  const entries = messages.slice(leading).flatMap((message, index): Entry[] => {
    const path = `messages[${leading + index}]`;
    return isInstruction(message) ? writeInstruction(message, path, firstTurn === -1, writer, context) : writeTurn(message, path, writer);
  });
  const exchanges = groupExchanges(entries);
  const occurrences = new Map<string, number>();
  const merged = mergeNeighbours(exchanges.flatMap((exchange) => writeExchange(exchange, occurrences, context)));
  checkServerTools(exchanges, context);
  if (merged.length === 0) report.refused("messages", "must hold something other than empty text");
  if (merged[0]?.role === "assistant") {
    report.emulated(entries[0]?.path ?? "messages", 'a user message "." before it, as a user speaks first');
    merged.unshift({ role: "user", content: [{ type: "text", text: "." }] });
  }
  checkLastTurn(merged, exchanges, context);
  return { system, messages: merged };
}

function writeTurn(message: Message, path: string, writer: PartWriter): Entry[] {
  const parts = writer.write(message, path);
  return parts.length === 0 ? [] : [{ role: message.role === Role.ASSISTANT ? "assistant" : "user", path, message, parts }];
}

/** Instructions after the first turn, where the model takes them; else what a user says, marked for what it is. */
function writeInstruction(message: Message, path: string, isOnly: boolean, writer: PartWriter, { target, report }: WriteContext): Entry[] {
  const blocks = writer.writeInstructions(message, path);
  if (blocks.length === 0) return [];
  const carried = !isOnly && target.traits.midSystem === true;
  if (!carried) {
    report.emulated(path, isOnly ? "a user message, as one is needed" : "a user message that is marked as a system message");
    if (!isOnly) for (const block of blocks) block.text = `<system>\n${textMember(block as { text: string }, "text")}\n</system>`;
  }
  return [{ role: carried ? "system" : "user", path, message, parts: blocks.map((block) => ({ path, block })) }];
}

function groupExchanges(entries: readonly Entry[]): Exchange[] {
  const exchanges: Exchange[] = [];
  for (const entry of entries) {
    const last = exchanges.at(-1);
    if (entry.role === "assistant") {
      if (last === undefined || last.answered.length > 0) exchanges.push({ asked: [entry], answered: [] });
      else last.asked.push(entry);
    } else if (last === undefined) exchanges.push({ asked: [], answered: [entry] });
    else last.answered.push(entry);
  }
  return exchanges;
}

/** `occurrences` counts how often each call id was used so far. */
function writeExchange({ asked, answered }: Exchange, occurrences: Map<string, number>, { report }: WriteContext): WireMessage[] {
  const askedParts = asked.flatMap(({ parts }) => parts);
  const media = askedParts.filter(({ isMedia }) => isMedia === true);
  for (const { path } of media) report.emulated(path, "moved to the next user message");
  const results = matchResults(askedParts, answered, report);
  for (const part of askedParts) if (part.callId !== undefined) keepApart(part, part.callId, results, occurrences);
  const messages: WireMessage[] = [
    { role: "assistant", content: blocksOf(askedParts.filter(({ isMedia }) => isMedia !== true)) },
    { role: "user", content: [...blocksOf(results), ...results.flatMap(({ after = [] }) => after), ...blocksOf(media)] },
    ...answered.map(({ role, parts }) => ({ role, content: blocksOf(parts.filter(({ resultId }) => resultId === undefined)) })),
  ];
  for (const { role, message, path } of [...asked, ...answered]) {
    // The API's messages have no more fields today; those of messages that become one are put together.
    const target = messages.find((candidate) => candidate.role === role && candidate.content.length > 0) ?? {};
    writeExtras(target, message.extrasJson, formatName, path, report);
  }
  return messages;
}

/** Some servers count their call ids anew in every turn; here they are unique in the conversation. */
function keepApart(part: WrittenPart, callId: string, results: readonly WrittenPart[], occurrences: Map<string, number>): void {
  const occurrence = (occurrences.get(callId) ?? 0) + 1;
  occurrences.set(callId, occurrence);
  if (occurrence === 1) return;
  const id = repeatedId(callId, occurrence);
  part.block.id = id;
  for (const result of results) if (result.resultId === callId) result.block.tool_use_id = id;
}

/** The results in the order of their calls. */
function matchResults(asked: readonly WrittenPart[], answered: readonly Entry[], report: TranslationReport): WrittenPart[] {
  const calls = asked.filter(({ callId }) => callId !== undefined);
  const callIds = new Set<string>();
  for (const { callId = "", path } of calls) {
    if (callIds.has(callId)) report.refused(path, "has the id of another call of this turn");
    callIds.add(callId);
  }
  const results = new Map<string, WrittenPart>();
  for (const part of answered.flatMap(({ parts }) => parts)) {
    if (part.resultId === undefined) continue;
    if (!callIds.has(part.resultId)) report.refused(part.path, "answers no call of the assistant message before it");
    else if (results.has(part.resultId)) report.refused(part.path, "is a second result of one call");
    else results.set(part.resultId, part);
  }
  for (const { callId = "", path } of calls) if (!results.has(callId)) report.refused(path, "is a call without a result after it");
  return calls.flatMap(({ callId = "" }) => results.get(callId) ?? []);
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

/** A provider's own call and its result belong together; a call may still be running in the last turn alone. */
function checkServerTools(exchanges: readonly Exchange[], { report }: WriteContext): void {
  const open = new Map<string, string>();
  exchanges.forEach(({ asked }, index) => {
    for (const { path, block } of asked.flatMap(({ parts }) => parts)) {
      const { type, id, tool_use_id: callId } = block;
      if (isServerCall(block) && typeof id === "string") open.set(id, path);
      else if (typeof type === "string" && type.endsWith("_tool_result") && typeof callId === "string" && !open.delete(callId)) {
        report.refused(path, "is the result of a provider's tool call that is missing");
      }
    }
    if (index < exchanges.length - 1) return;
    const last = new Set(asked.flatMap(({ parts }) => parts).map(({ path }) => path));
    for (const path of open.values()) if (!last.has(path)) report.refused(path, "is a provider's tool call whose result is missing");
  });
}

function isServerCall({ type }: WritableObject): boolean {
  return type === "server_tool_use" || type === "mcp_tool_use";
}

/** An assistant's last message is to be continued: most models refuse that, unless the provider itself had paused there. */
function checkLastTurn(messages: readonly WireMessage[], exchanges: readonly Exchange[], { target, report }: WriteContext): void {
  const last = messages.at(-1);
  const lastBlock = last?.content.at(-1);
  if (last?.role !== "assistant" || lastBlock === undefined || last.content.some(isServerCall)) return;
  const entry = exchanges.at(-1)?.asked.at(-1);
  const path = entry?.path ?? "messages";
  if (target.traits.prefill !== true) {
    report.refused(path, "the model does not continue an assistant message; end with a user message");
    return;
  }
  const text = typeof lastBlock.text === "string" ? lastBlock.text : "";
  if (text === text.trimEnd()) return;
  // The API refuses white space at the end of what is to be continued.
  lastBlock.text = text.trimEnd();
  report.coerced(entry?.parts.at(-1)?.path ?? path, "without the white space at its end");
}
