/**
 * The conversation in the order that the API takes: instructions on top, user and model in turn, user first, and after
 * the model's calls one user content with as many results, in the order of the calls.
 */
import { type Message, Role } from "../../../gen/dragoman/v1/generate_pb.ts";
import { type Exchange, groupExchanges } from "../../core/exchanges.ts";
import { reportForeignExtras, writeExtras } from "../../core/extras.ts";
import type { WritableObject } from "../../core/json.ts";
import { bypassSignature, formatName } from "./wire.ts";
import type { WriteContext } from "./write-context.ts";
import { PartWriter, type WrittenPart } from "./write-parts.ts";

export interface Conversation {
  /** `systemInstruction`; undefined where there is none. */
  readonly system: WritableObject | undefined;
  readonly contents: WritableObject[];
}

/** One message of the request, written. */
interface Entry {
  readonly isModels: boolean;
  readonly path: string;
  readonly message: Message;
  readonly parts: readonly WrittenPart[];
}

/** Reports what is refused: a call without its result, a result without its call, an answer to be continued. */
export function regroupContents(messages: readonly Message[], context: WriteContext): Conversation {
  const { report } = context;
  const writer = new PartWriter(context);
  const isInstruction = ({ role }: Message) => role === Role.SYSTEM || role === Role.DEVELOPER;
  const firstTurn = messages.findIndex((message) => !isInstruction(message));
  const leading = firstTurn === -1 ? messages.length : firstTurn;
  const instructions = messages.slice(0, leading).flatMap((message, index) => {
    const path = `messages[${index}]`;
    return writer.writeInstructions(message, path).map((part) => ({ path, part }));
  });
  const entries = messages.slice(leading).flatMap((message, index): Entry[] => {
    const path = `messages[${leading + index}]`;
    const parts = isInstruction(message) ? writeLaterInstruction(message, path, writer, context) : writer.write(message, path);
    const isModels = message.role === Role.ASSISTANT;
    return parts.length === 0 ? [] : [{ isModels, path, message, parts }];
  });
  const exchanges = groupExchanges(entries, ({ isModels }) => isModels);
  const firstSigned = bypassStart(exchanges, context);
  const contents = exchanges.flatMap((exchange, index) => writeExchange(exchange, index >= firstSigned, context));
  if (contents[0]?.role === "model") {
    report.emulated(entries[0]?.path ?? "messages", 'a user message "." before it, as a user speaks first');
    contents.unshift({ role: "user", parts: [{ text: "." }] });
  }
  checkLastTurn(exchanges, context);
  if (contents.length === 0) {
    // The API needs a user: with instructions alone the last of them speaks for one.
    const last = instructions.pop();
    if (last === undefined) report.refused("messages", "must hold something other than empty text");
    else {
      report.emulated(last.path, "a user message, as one is needed");
      contents.push({ role: "user", parts: [last.part] });
    }
  }
  return { system: writeSystem(instructions, messages.slice(0, leading), report), contents };
}

function writeSystem(
  instructions: readonly { readonly part: WritableObject }[],
  messages: readonly Message[],
  report: WriteContext["report"],
): WritableObject | undefined {
  const system = instructions.length === 0 ? undefined : { parts: instructions.map(({ part }) => part) };
  for (const [index, { extrasJson }] of messages.entries()) {
    if (system === undefined) reportForeignExtras(extrasJson, formatName, `messages[${index}]`, report);
    else writeExtras(system, extrasJson, formatName, `messages[${index}]`, report);
  }
  return system;
}

/** The API has no place for instructions between turns: they stay in place, as what a user says, marked for what it is. */
function writeLaterInstruction(message: Message, path: string, writer: PartWriter, { report }: WriteContext): WrittenPart[] {
  const parts = writer.writeInstructions(message, path);
  if (parts.length > 0) report.emulated(path, "a user message that is marked as a system message");
  for (const part of parts) part.text = `<system>\n${String(part.text)}\n</system>`;
  return parts.map((part) => ({ path, part }));
}

/** Neighbours of one role become one content: parts appended, text not joined. */
function writeExchange({ asked, answered }: Exchange<Entry>, needsSignature: boolean, context: WriteContext): WritableObject[] {
  const calls = asked.flatMap(({ parts }) => parts).filter(({ call }) => call !== undefined);
  if (needsSignature) signFirstCall(calls[0], context);
  const others = answered.flatMap(({ parts }) => parts).filter(({ result }) => result === undefined);
  const results = matchResults(calls, answered, context);
  const userParts = [...results.flatMap(({ part }) => part), ...results.flatMap(({ result }) => result?.after ?? []), ...partsOf(others)];
  const contents: WritableObject[] = [];
  for (const [role, entries, parts] of [
    ["model", asked, asked.flatMap((entry) => partsOf(entry.parts))],
    ["user", answered, userParts],
  ] as const) {
    const content: WritableObject = { role, parts };
    for (const { message, path } of entries) writeExtras(content, message.extrasJson, formatName, path, context.report);
    if (parts.length > 0) contents.push(content);
  }
  return contents;
}

function partsOf(parts: readonly WrittenPart[]): WritableObject[] {
  return parts.map(({ part }) => part);
}

/** The results in the order of their calls, each with its call's name. */
function matchResults(calls: readonly WrittenPart[], answered: readonly Entry[], { report, state }: WriteContext): WrittenPart[] {
  const found = new Map<WrittenPart, WrittenPart>();
  for (const part of answered.flatMap(({ parts }) => parts)) {
    const { result } = part;
    if (result === undefined) continue;
    // Clients of this format may send no ids: the first open call of that name is meant.
    const isMeant = ({ call }: WrittenPart) => (result.callId === "" ? call?.name === result.name : call?.id === result.callId);
    const call = calls.find((candidate) => isMeant(candidate) && !found.has(candidate));
    if (call !== undefined) found.set(call, part);
    else report.refused(part.path, calls.some(isMeant) ? "is a second result of one call" : "answers no call of the message before it");
  }
  return calls.flatMap((written) => {
    const part = found.get(written);
    if (part?.result === undefined || written.call === undefined) {
      report.refused(written.path, "is a call without a result after it");
      return [];
    }
    part.result.response.name = state.legalName(written.call.name);
    return [part];
  });
}

/**
 * The first exchange of the current turn, which begins with what the user said last: only there models that sign their
 * calls insist on signatures. Infinity where none is needed.
 */
function bypassStart(exchanges: readonly Exchange<Entry>[], { quirks, target }: WriteContext): number {
  const { reasoning } = target.traits;
  if (quirks.signatureBypass === false || reasoning === "budget" || reasoning === "none") return Number.POSITIVE_INFINITY;
  const isUsers = ({ answered }: Exchange<Entry>) =>
    answered.length > 0 && answered.every(({ parts }) => parts.every(({ result }) => result === undefined));
  return exchanges.findLastIndex(isUsers) + 1;
}

/** Of parallel calls only the first is signed. */
function signFirstCall(call: WrittenPart | undefined, { report }: WriteContext): void {
  if (call === undefined || call.part.thoughtSignature !== undefined) return;
  report.emulated(`${call.path}.signature`, "the documented value for calls without one");
  call.part.thoughtSignature = bypassSignature;
}

function checkLastTurn(exchanges: readonly Exchange<Entry>[], { target, report }: WriteContext): void {
  const last = exchanges.at(-1);
  if (last === undefined || last.answered.length > 0 || target.traits.prefill !== false) return;
  const path = last.asked.at(-1)?.path ?? "messages";
  report.refused(path, "the model does not continue an assistant message; end with a user message");
}
