/** Messages and their parts for tests, in few words. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type GenerateRequestSchema, Role } from "../../gen/dragoman/v1/generate_pb.ts";

export type RequestInit = Omit<MessageInitShape<typeof GenerateRequestSchema>, "$typeName">;
export type MessageInit = NonNullable<RequestInit["messages"]>[number];
export type PartInit = NonNullable<Exclude<MessageInit, { $typeName: "dragoman.v1.Message" }>["parts"]>[number];

export function text(value: string, more: object = {}): PartInit {
  return { part: { case: "text", value }, ...more } as PartInit;
}

export function user(...parts: (string | PartInit)[]): MessageInit {
  return { role: Role.USER, parts: toParts(parts) } as MessageInit;
}

export function assistant(...parts: (string | PartInit)[]): MessageInit {
  return { role: Role.ASSISTANT, parts: toParts(parts) } as MessageInit;
}

export function system(...parts: (string | PartInit)[]): MessageInit {
  return { role: Role.SYSTEM, parts: toParts(parts) } as MessageInit;
}

/** A message of one tool's result, as Chat clients send it. */
export function result(toolCallId: string, content: string, more: object = {}): MessageInit {
  return { role: Role.TOOL, parts: [resultPart(toolCallId, content, more)] } as MessageInit;
}

export function resultPart(toolCallId: string, content: string, more: object = {}): PartInit {
  return { part: { case: "toolResult", value: { toolCallId, content: content === "" ? [] : [text(content)], ...more } } } as PartInit;
}

export function call(id: string, name = "f", argumentsJson = "{}", more: object = {}): PartInit {
  return { part: { case: "toolCall", value: { id, name, argumentsJson, ...more } } } as PartInit;
}

export function reasoningPart(value: string, signature?: object): PartInit {
  return { part: { case: "reasoning", value: { text: value } }, ...(signature === undefined ? {} : { signature }) } as PartInit;
}

export function opaquePart(type: string, data: object, format: string): PartInit {
  return { part: { case: "opaque", value: { format, type, dataJson: JSON.stringify(data) } } } as PartInit;
}

export function media(kind: "image" | "file" | "audio" | "video", value: object): PartInit {
  return { part: { case: kind, value } } as PartInit;
}

function toParts(parts: readonly (string | PartInit)[]): PartInit[] {
  return parts.map((part) => (typeof part === "string" ? text(part) : part));
}
