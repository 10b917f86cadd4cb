/** The conversation in the order that the API takes, and what it wants of documents. */
import type { Message } from "../../../gen/dragoman/v1/generate_pb.ts";
import { alternateTurns, checkLastTurn, startWithUser, type TurnForms, type Turns, type WireMessage } from "../../core/alternate-turns.ts";
import { isWritableObject, type Writable, type WritableObject } from "../../core/json.ts";
import { repeatedId } from "./legal-names.ts";
import { formatName } from "./wire.ts";
import type { WriteContext } from "./write-context.ts";
import { PartWriter } from "./write-parts.ts";

export interface Conversation {
  readonly system: WritableObject[];
  readonly messages: WireMessage[];
  /** Sent names of the tools that are called in it, each once. */
  readonly calledNames: readonly string[];
}

/** Reports what is refused: a call without its result, a result without its call, an answer to be continued. */
export function regroupMessages(messages: readonly Message[], context: WriteContext): Conversation {
  const forms: TurnForms = {
    format: formatName,
    parts: new PartWriter(context),
    writeText: (text) => ({ text }),
    repeatedId,
    renameCall: ({ toolUse }, id) => rename(toolUse, id),
    renameResult: ({ toolResult }, id) => rename(toolResult, id),
  };
  const turns = alternateTurns(messages, forms, context);
  startWithUser(turns, forms, context);
  addDocumentTexts(turns, context);
  checkLastTurn(turns, forms, context);
  return { ...turns, calledNames: calledNames(turns.messages) };
}

function rename(block: Writable, toolUseId: string): void {
  if (isWritableObject(block)) block.toolUseId = toolUseId;
}

/** A document is taken only beside a text. */
function addDocumentTexts({ messages, entries }: Turns, { report }: WriteContext): void {
  const parts = entries.flatMap((entry) => entry.parts);
  for (const { content } of messages) {
    const document = content.find((block) => block.document !== undefined);
    if (document === undefined || content.some((block) => block.text !== undefined)) continue;
    report.emulated(parts.find(({ block }) => block === document)?.path ?? "messages", 'a text "." beside it, as a document needs one');
    content.push({ text: "." });
  }
}

function calledNames(messages: readonly WireMessage[]): string[] {
  const names = messages.flatMap(({ content }) => content.map(({ toolUse }) => (isWritableObject(toolUse) ? toolUse.name : undefined)));
  return [...new Set(names.filter((name) => typeof name === "string"))];
}
