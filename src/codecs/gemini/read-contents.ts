/** `systemInstruction` and `contents` as messages. */
import { create } from "@bufbuild/protobuf";
import { type Message, MessageSchema, type Part, Role } from "../../../gen/dragoman/v1/generate_pb.ts";
import { invalidField } from "../../core/error.ts";
import { describe, Fields, type Located } from "../../core/fields.ts";
import { isJsonObject } from "../../core/json.ts";
import { CallPairs } from "./call-pairs.ts";
import { readPart } from "./read-part.ts";
import { formatName, signatureFamily } from "./wire.ts";

/** A message, and where its parts stand in the client's request. */
export interface ReadMessage {
  readonly message: Message;
  /** Path of the content, for example `contents[2]`. */
  readonly path: string;
  /** Whether `parts` is an array there, and not one part alone. */
  readonly hasParts: boolean;
}

const roles: Readonly<Record<string, Role>> = { user: Role.USER, model: Role.ASSISTANT, function: Role.TOOL };

/** Throws invalid_request where there is no content. */
export function readMessages(fields: Fields): ReadMessage[] {
  const instruction = readInstruction(fields);
  const contents = elements(fields, "contents");
  if (contents === undefined || contents.length === 0) fields.fail("contents", "must have at least one content");
  const calls = new CallPairs();
  const read = (contents ?? []).map((content, index) => readContent(content, index, calls));
  return [...(instruction === undefined ? [] : [instruction]), ...joinThoughts(read)];
}

function readInstruction(fields: Fields): ReadMessage | undefined {
  const path = fields.pathOf("systemInstruction");
  const value = fields.value("systemInstruction");
  if (value === undefined) return undefined;
  const isContent = isJsonObject(value) && Object.hasOwn(value, "parts");
  const content = isContent ? value : { parts: typeof value === "string" ? [{ text: value }] : value };
  return readWithRole({ value: content, path }, Role.SYSTEM, (part, index) => readPart(part, new CallPairs(), 0, index));
}

function readContent(content: Located, index: number, calls: CallPairs): ReadMessage {
  const { role } = isJsonObject(content.value) ? content.value : {};
  const known = role === undefined || role === null || role === "" ? Role.USER : typeof role === "string" ? roles[role] : undefined;
  if (known === undefined) throw invalidField(`${content.path}.role`, 'must be "user" or "model"');
  return readWithRole(content, known, (part, position) => readPart(part, calls, index, position));
}

function readWithRole({ value, path }: Located, role: Role, read: (part: Located, index: number) => Part): ReadMessage {
  const fields = new Fields(value, path);
  fields.value("role");
  const hasParts = Array.isArray(fields.peek("parts"));
  const message = create(MessageSchema, { role, parts: (elements(fields, "parts") ?? []).map(read) });
  message.extrasJson = fields.extras(formatName);
  return { message, path, hasParts };
}

/** The elements of a repeated field; one alone may stand without its array. */
function elements(fields: Fields, name: string): Located[] | undefined {
  const value = fields.peek(name);
  if (value === undefined || Array.isArray(value)) return fields.array(name);
  if (!isJsonObject(value)) fields.fail(name, `must be an array, not ${describe(value)}`);
  fields.value(name);
  return [{ value, path: fields.pathOf(name) }];
}

/**
 * Reasoning that another vendor signed holds only as a whole. It was streamed in pieces, the last of them signed, and chat
 * helpers of the SDKs send the pieces back as they came, each in a content of its own.
 */
function joinThoughts(read: ReadMessage[]): ReadMessage[] {
  const joined = new Set<Part>();
  let pieces: Part[] = [];
  for (const { message } of read) {
    if (message.role !== Role.ASSISTANT) pieces = [];
    for (const part of message.parts) {
      if (isPiece(part)) pieces.push(part);
      else {
        if (isSignedElsewhere(part)) {
          prepend(pieces, part);
          for (const piece of pieces) joined.add(piece);
        }
        pieces = [];
      }
    }
  }
  if (joined.size === 0) return read;
  return read.filter(({ message }) => {
    const before = message.parts.length;
    message.parts = message.parts.filter((part) => !joined.has(part));
    return message.parts.length > 0 || before === 0;
  });
}

function isPiece({ part, signature, extrasJson }: Part): boolean {
  return part.case === "reasoning" && signature === undefined && Object.keys(extrasJson).length === 0;
}

function isSignedElsewhere({ part, signature }: Part): boolean {
  return part.case === "reasoning" && !part.value.redacted && signature !== undefined && signature.format !== signatureFamily;
}

function prepend(pieces: readonly Part[], { part }: Part): void {
  if (part.case !== "reasoning") return;
  const before = pieces.map((piece) => (piece.part.case === "reasoning" ? piece.part.value.text : "")).join("");
  if (part.value.summaries.length > 0) part.value.summaries = [before + part.value.summaries.join("")];
  else part.value.text = before + part.value.text;
}
