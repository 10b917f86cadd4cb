/**
 * Fields of an upstream's messages that this version has no names for (contract.md 1, rule 6). They have numbers and bytes
 * alone, so they are kept as such: an opaque event where they stood. https://protobuf.dev/programming-guides/encoding/
 */
import type { Message } from "@bufbuild/protobuf";
import { type GenerateEvent, opaqueEvent } from "../core/event.ts";

/** The type of opaque events, and the member of extras, that hold them. */
const unknownFieldsName = "unknown_fields";

interface UnknownPlace {
  /** Of the message that holds it, in the upstream's answer: `outputs[0].delta`; empty for the answer itself. */
  readonly path: string;
  readonly number: number;
  readonly wire_type: number;
  /** Base64 of the value as it was on the wire; of lengths of bytes, the length before them included. */
  readonly data: string;
}

/** JSON text of what a message, and all within it, holds without a name; undefined where that is nothing. */
export function unknownFieldsText(message: Message): string | undefined {
  const found: UnknownPlace[] = [];
  visit(message, "", found);
  return found.length === 0 ? undefined : JSON.stringify({ [unknownFieldsName]: found });
}

/** For the messages of one stream: what comes again and again is told once. */
export class UnknownFieldReader {
  readonly #format: string;
  #last: string | undefined;

  constructor(format: string) {
    this.#format = format;
  }

  /** No event, or one. */
  read(message: Message): readonly GenerateEvent[] {
    const text = unknownFieldsText(message);
    if (text === undefined || text === this.#last) return [];
    this.#last = text;
    return [opaqueEvent(this.#format, unknownFieldsName, text)];
  }
}

function visit(value: unknown, path: string, found: UnknownPlace[]): void {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) visit(value[index], `${path}[${index}]`, found);
    return;
  }
  for (const [name, member] of Object.entries(value)) {
    if (name === "$unknown") found.push(...((member ?? []) as NonNullable<Message["$unknown"]>).map((field) => placed(field, path)));
    // A oneof is no message of its own.
    else if (typeof member === "object") visit(member, name === "value" && "case" in value ? path : join(path, name), found);
  }
}

function placed({ no, wireType, data }: NonNullable<Message["$unknown"]>[number], path: string): UnknownPlace {
  return { path, number: no, wire_type: wireType, data: Buffer.from(data).toString("base64") };
}

function join(path: string, name: string): string {
  return path === "" ? name : `${path}.${name}`;
}
