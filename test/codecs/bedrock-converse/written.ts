/** Writes a request for a test and gives back what went on the wire. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type GenerateRequest, GenerateRequestSchema } from "../../../gen/dragoman/v1/generate_pb.ts";
import { type BedrockConverseQuirks, createBedrockConverseCodec } from "../../../src/codecs/bedrock-converse/index.ts";
import type { ModelTraits, Target } from "../../../src/core/target.ts";
import { opaquePart, type PartInit, type RequestInit, reasoningPart, user } from "../messages.ts";
import { lookAt, type WrittenRequest } from "../written-request.ts";

export { assistant, call, result, resultPart, system, text, user } from "../messages.ts";
export type { PartInit, RequestInit };

export type Block = Record<string, unknown>;

export interface Body {
  [name: string]: unknown;
  readonly system?: Block[];
  readonly messages: { readonly role: string; readonly content: Block[] }[];
  readonly toolConfig?: { readonly tools: Block[]; readonly toolChoice?: Block };
  readonly additionalModelRequestFields?: Block;
}

export type Written = WrittenRequest<Body>;

export function request(init: RequestInit): GenerateRequest {
  return create(GenerateRequestSchema, { model: "claude", ...init } as MessageInitShape<typeof GenerateRequestSchema>);
}

export function targetWith(traits: ModelTraits = {}): Target {
  return { id: "bedrock/anthropic.claude-x", provider: "bedrock", model: "anthropic.claude-x", traits };
}

/** `init.messages` defaults to one user message. */
export function write(init: RequestInit, traits: ModelTraits = {}, quirks: Partial<BedrockConverseQuirks> = {}, stream = false): Written {
  return writeMessage(request({ messages: [user("hi")], ...init }), traits, quirks, stream);
}

export function writeMessage(
  message: GenerateRequest,
  traits: ModelTraits = {},
  quirks: Partial<BedrockConverseQuirks> = {},
  stream = false,
): Written {
  const upstream = createBedrockConverseCodec(quirks).writeRequest(message, targetWith(traits), { stream });
  return lookAt<Body>(upstream);
}

/** Reasoning that this provider signed, unless another signature is given. */
export function reasoning(
  value: string,
  signature: object | undefined = { value: "sig", format: "anthropic", provider: "bedrock" },
): PartInit {
  return reasoningPart(value, signature);
}

export function opaque(type: string, data: object, format = "bedrock-converse"): PartInit {
  return opaquePart(type, data, format);
}
