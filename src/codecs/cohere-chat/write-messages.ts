/**
 * The conversation in the order that the API takes: calls and, right after them, one message for each result; images only
 * from users. Roles need not alternate.
 */
import { type Message, Role } from "../../../gen/dragoman/v1/generate_pb.ts";
import { type Exchange, groupExchanges, matchResults } from "../../core/exchanges.ts";
import { writeExtras } from "../../core/extras.ts";
import type { Writable, WritableObject } from "../../core/json.ts";
import { formatName } from "./wire.ts";
import type { WriteContext } from "./write-context.ts";
import { plainContent, type WrittenParts, writeParts } from "./write-parts.ts";

interface Entry {
  readonly role: "system" | "user" | "assistant";
  readonly path: string;
  readonly message: Message;
  readonly parts: WrittenParts;
}

/** Reports what is refused: a call without its result, a result without its call, an answer to be continued. */
export function writeMessages(messages: readonly Message[], context: WriteContext): WritableObject[] {
  const { report, target } = context;
  const firstTurn = messages.findIndex(({ role }) => role !== Role.SYSTEM && role !== Role.DEVELOPER);
  const entries = messages.map((message, index): Entry => {
    const path = `messages[${index}]`;
    const isInstruction = message.role === Role.SYSTEM || message.role === Role.DEVELOPER;
    const role = message.role === Role.ASSISTANT ? "assistant" : isInstruction ? "system" : "user";
    return { role, path, message, parts: writeParts(message, path, context) };
  });
  const written = groupExchanges(entries, ({ role }) => role === "assistant").flatMap((exchange) => writeExchange(exchange, context));
  const lastSystem = written.findLastIndex(({ role }) => role === "system");
  if (firstTurn === -1 && lastSystem !== -1) {
    report.emulated(`messages[${messages.length - 1}]`, "a user message, as one is needed");
    written[lastSystem] = { ...written[lastSystem], role: "user" };
  }
  if (!written.some(({ role }) => role !== "system")) report.refused("messages", "must hold something other than empty text");
  if (written.at(-1)?.role === "assistant" && target.traits.prefill !== true) {
    report.refused(lastPath(entries), "the model does not continue an assistant message; end with a user message");
  }
  return written;
}

function lastPath(entries: readonly Entry[]): string {
  return entries.findLast(({ role }) => role === "assistant")?.path ?? "messages";
}

function writeExchange({ asked, answered }: Exchange<Entry>, context: WriteContext): WritableObject[] {
  const { report } = context;
  const calls = asked.flatMap(({ parts }) => parts.calls);
  const results = matchResults(
    calls,
    answered.flatMap(({ parts }) => parts.results),
    report,
  );
  const media: Writable[] = [...results.flatMap(({ after }) => [...after])];
  for (const { path, image } of asked.flatMap(({ parts }) => parts.moved)) {
    report.emulated(path, "moved to the next user message");
    media.push(image);
  }
  // Calls and their results must not stand apart, so what asked for them is one message.
  const questions = calls.length > 0 ? [writeAssistant(asked, context)] : asked.map((entry) => writeAssistant([entry], context));
  return [
    ...questions,
    ...results.map(({ message }) => message),
    ...(media.length === 0 ? [] : [{ role: "user", content: media }]),
    ...answered.map((entry) => writeTurn(entry, context)),
  ].filter((message) => message !== undefined);
}

/** Undefined where nothing is said. */
function writeAssistant(entries: readonly Entry[], { report }: WriteContext): WritableObject | undefined {
  const content: Writable[] = [];
  const citations: WritableObject[] = [];
  for (const { parts } of entries) {
    for (const citation of parts.citations) citations.push({ ...citation, content_index: Number(citation.content_index) + content.length });
    content.push(...parts.content);
  }
  const calls = entries.flatMap(({ parts }) => parts.calls.map(({ call }) => call));
  const plan = entries.flatMap(({ parts }) => parts.plan).join("");
  const message: WritableObject = {
    role: "assistant",
    content: content.length === 0 ? undefined : plainContent(content),
    tool_plan: plan === "" ? undefined : plan,
    tool_calls: calls.length === 0 ? undefined : calls,
    citations: citations.length === 0 ? undefined : citations,
  };
  for (const { message: source, path } of entries) writeExtras(message, source.extrasJson, formatName, path, report);
  return content.length === 0 && calls.length === 0 ? undefined : message;
}

/** Undefined where nothing but results was said: those are messages of their own. */
function writeTurn({ role, path, message, parts }: Entry, { report }: WriteContext): WritableObject | undefined {
  if (parts.content.length === 0) return undefined;
  const written: WritableObject = { role, content: plainContent(parts.content) };
  writeExtras(written, message.extrasJson, formatName, path, report);
  return written;
}
