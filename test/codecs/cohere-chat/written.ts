/** Writes a request for a test and gives back what went on the wire. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type GenerateRequest, GenerateRequestSchema, Role } from "../../../gen/dragoman/v1/generate_pb.ts";
import { TranslationAction } from "../../../gen/dragoman/v1/usage_pb.ts";
import { createCohereChatCodec } from "../../../src/codecs/cohere-chat/index.ts";
import type { UpstreamRequest } from "../../../src/core/dialect.ts";
import { GatewayError } from "../../../src/core/error.ts";
import type { ModelTraits, Target } from "../../../src/core/target.ts";

export type RequestInit = Omit<MessageInitShape<typeof GenerateRequestSchema>, "$typeName">;
export type MessageInit = NonNullable<RequestInit["messages"]>[number];
export type PartInit = NonNullable<Exclude<MessageInit, { $typeName: "dragoman.v1.Message" }>["parts"]>[number];

type Block = Readonly<Record<string, unknown>>;

export interface Body {
  readonly [name: string]: unknown;
  readonly messages: readonly {
    readonly role: string;
    /** Or a string. */
    readonly content?: readonly Block[];
    readonly tool_calls?: readonly { readonly function: Block }[];
  }[];
  readonly tools?: readonly { readonly function: Block }[];
}

export interface Written extends UpstreamRequest {
  /** The body, parsed. */
  readonly json: Body;
  /** `ACTION path`, in order of their writing. */
  readonly notes: string[];
  /** Paths of what is refused, strict or not. */
  readonly refused: string[];
}

export function request(init: RequestInit): GenerateRequest {
  return create(GenerateRequestSchema, { model: "command", ...init } as MessageInitShape<typeof GenerateRequestSchema>);
}

export function targetWith(traits: ModelTraits = {}): Target {
  return { id: "cohere/command-x", provider: "cohere", model: "command-x", traits };
}

const actionNames = new Map<number, string>(Object.entries(TranslationAction).map(([name, action]) => [action, name]));

/** `init.messages` defaults to one user message. */
export function write(init: RequestInit, traits: ModelTraits = {}, stream = false): Written {
  return writeMessage(request({ messages: [user("hi")], ...init }), traits, stream);
}

export function writeMessage(message: GenerateRequest, traits: ModelTraits = {}, stream = false): Written {
  const upstream = createCohereChatCodec().writeRequest(message, targetWith(traits), { stream });
  const notes = upstream.report.notes.map(({ action, path }) => `${actionNames.get(action)} ${path}`);
  return { ...upstream, json: JSON.parse(upstream.body) as Body, notes, refused: refusedPaths(upstream) };
}

export function refusedPaths({ report }: Pick<UpstreamRequest, "report">): string[] {
  try {
    report.settle(false);
    return [];
  } catch (error) {
    if (error instanceof GatewayError) return (error.details.fields ?? []).map(({ field }) => field);
    throw error;
  }
}

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

export function result(toolCallId: string, content: string, more: object = {}): PartInit {
  return { part: { case: "toolResult", value: { toolCallId, content: content === "" ? [] : [text(content)], ...more } } } as PartInit;
}

export function call(id: string, name = "f", argumentsJson = "{}", more: object = {}): PartInit {
  return { part: { case: "toolCall", value: { id, name, argumentsJson, ...more } } } as PartInit;
}

export function reasoning(value: string, signature?: object): PartInit {
  return { part: { case: "reasoning", value: { text: value } }, ...(signature === undefined ? {} : { signature }) } as PartInit;
}

export function media(kind: "image" | "file" | "audio" | "video", value: object): PartInit {
  return { part: { case: kind, value } } as PartInit;
}

export function opaque(type: string, data: object, format: string): PartInit {
  return { part: { case: "opaque", value: { format, type, dataJson: JSON.stringify(data) } } } as PartInit;
}

export function tool(name: string, parametersJson = "", more: object = {}): NonNullable<RequestInit["tools"]>[number] {
  return { tool: { case: "function", value: { name, parametersJson, ...more } } } as NonNullable<RequestInit["tools"]>[number];
}

function toParts(parts: readonly (string | PartInit)[]): PartInit[] {
  return parts.map((part) => (typeof part === "string" ? text(part) : part));
}
