/** Writes a request for a test and gives back what went on the wire. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type GenerateRequest, GenerateRequestSchema } from "../../../gen/dragoman/v1/generate_pb.ts";
import { createCohereChatCodec } from "../../../src/codecs/cohere-chat/index.ts";
import type { ModelTraits, Target } from "../../../src/core/target.ts";
import { type MessageInit, opaquePart, type PartInit, type RequestInit, reasoningPart, user } from "../messages.ts";
import { lookAt, type WrittenRequest } from "../written-request.ts";

export { assistant, call, media, resultPart as result, system, text, user } from "../messages.ts";
export { refusedPaths } from "../written-request.ts";
export type { MessageInit, PartInit, RequestInit };

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

export type Written = WrittenRequest<Body>;

export function request(init: RequestInit): GenerateRequest {
  return create(GenerateRequestSchema, { model: "command", ...init } as MessageInitShape<typeof GenerateRequestSchema>);
}

export function targetWith(traits: ModelTraits = {}): Target {
  return { id: "cohere/command-x", provider: "cohere", model: "command-x", traits };
}

/** `init.messages` defaults to one user message. */
export function write(init: RequestInit, traits: ModelTraits = {}, stream = false): Written {
  return writeMessage(request({ messages: [user("hi")], ...init }), traits, stream);
}

export function writeMessage(message: GenerateRequest, traits: ModelTraits = {}, stream = false): Written {
  const upstream = createCohereChatCodec().writeRequest(message, targetWith(traits), { stream });
  return lookAt<Body>(upstream);
}

export function reasoning(value: string, signature?: object): PartInit {
  return reasoningPart(value, signature);
}

export function opaque(type: string, data: object, format: string): PartInit {
  return opaquePart(type, data, format);
}

export function tool(name: string, parametersJson = "", more: object = {}): NonNullable<RequestInit["tools"]>[number] {
  return { tool: { case: "function", value: { name, parametersJson, ...more } } } as NonNullable<RequestInit["tools"]>[number];
}
