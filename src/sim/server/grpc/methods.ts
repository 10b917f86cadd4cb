/** Which path is which vendor's, and what it does. */
import { type DescMessage, fromBinary, type MessageShape, toJson } from "@bufbuild/protobuf";
import {
  BatchEmbedContentsRequestSchema,
  BatchEmbedContentsResponseSchema,
  CountTokensRequestSchema,
  CountTokensResponseSchema,
  EmbedContentRequestSchema,
  EmbedContentResponseSchema,
  GenerateContentRequestSchema,
  GenerateContentResponseSchema,
  GenerativeService,
} from "../../../../gen/google/ai/generativelanguage/v1beta/generative_service_pb.ts";
import {
  ListModelsRequestSchema,
  ListModelsResponseSchema,
  ModelService,
} from "../../../../gen/google/ai/generativelanguage/v1beta/model_service_pb.ts";
import {
  Chat,
  GetChatCompletionChunkSchema,
  GetChatCompletionResponseSchema,
  GetCompletionsRequestSchema,
} from "../../../../gen/xai/api/v1/chat_pb.ts";
import { Embedder, EmbedRequestSchema, EmbedResponseSchema } from "../../../../gen/xai/api/v1/embed_pb.ts";
import { ListEmbeddingModelsResponseSchema, ListLanguageModelsResponseSchema, Models } from "../../../../gen/xai/api/v1/models_pb.ts";
import type { Counts } from "../../compose.ts";
import { listedModels, modelsCreated } from "../../model-list.ts";
import { behaviourOf } from "../../model-name.ts";
import { isObject, type JsonObject } from "../../shape.ts";
import { tokensOf } from "../../tokens.ts";
import { vectorOf } from "../../vectors.ts";
import { answerEmbed } from "../gemini/embed.ts";
import { generateWire } from "../gemini/generate.ts";
import { readCountTokens, readGenerate } from "../gemini/read.ts";
import { geminiModels } from "../models.ts";
import type { AnswerWriter, Reading } from "../wire.ts";
import { type GrpcVendor, geminiGrpcVendor, xaiVendor } from "./vendor.ts";
import { readCompletion, refuse } from "./xai-read.ts";
import { XaiWriter, xaiUsage } from "./xai-writer.ts";

/** A call whose bytes were read as the message's JSON. */
export interface ReadCall {
  readonly body: JsonObject;
  /** Throws Refusal. */
  readonly reading: () => Reading;
}

export interface PlainReply {
  readonly body: JsonObject;
  readonly bill?: { readonly model: string; readonly inputTokens: number };
}

export type GrpcMethod =
  | {
      readonly is: "generate";
      readonly vendor: GrpcVendor;
      readonly format: string;
      readonly family: string;
      readonly callIdPrefix: string;
      /** Of one message of the answer. */
      readonly schema: DescMessage;
      readonly stream: boolean;
      /** Whether every message tells the counts so far. */
      readonly usageAlways: string | undefined;
      read(bytes: Uint8Array, lenient: boolean): ReadCall;
      writer(reading: Reading): AnswerWriter;
      usage(counts: Counts): JsonObject;
    }
  | {
      readonly is: "answer";
      readonly vendor: GrpcVendor;
      readonly format: string;
      readonly schema: DescMessage;
      /** Throws Refusal. */
      answer(bytes: Uint8Array, lenient: boolean, dimensions: number): PlainReply & { readonly request: JsonObject };
    };

const methods = new Map<string, GrpcMethod>([
  [pathOf(Chat.method.getCompletion), xaiChat(false)],
  [pathOf(Chat.method.getCompletionChunk), xaiChat(true)],
  [pathOf(Embedder.method.embed), plain(xaiVendor, "xai", EmbedRequestSchema, EmbedResponseSchema, answerXaiEmbed)],
  [pathOf(Models.method.listLanguageModels), plain(xaiVendor, "xai", undefined, ListLanguageModelsResponseSchema, () => xaiModels(false))],
  [pathOf(Models.method.listEmbeddingModels), plain(xaiVendor, "xai", undefined, ListEmbeddingModelsResponseSchema, () => xaiModels(true))],
  [pathOf(GenerativeService.method.generateContent), geminiGenerate(false)],
  [pathOf(GenerativeService.method.streamGenerateContent), geminiGenerate(true)],
  [
    pathOf(GenerativeService.method.countTokens),
    plain(geminiGrpcVendor, "gemini", CountTokensRequestSchema, CountTokensResponseSchema, (body, lenient) => {
      const { model, ...rest } = body;
      const { inputTokens } = readCountTokens(facts(rest, String(model), false, lenient)).prompt;
      return { body: { totalTokens: inputTokens, promptTokensDetails: [{ modality: "TEXT", tokenCount: inputTokens }] } };
    }),
  ],
  [
    pathOf(GenerativeService.method.embedContent),
    plain(geminiGrpcVendor, "gemini", EmbedContentRequestSchema, EmbedContentResponseSchema, (body, lenient, dimensions) =>
      geminiEmbed(body, false, lenient, dimensions),
    ),
  ],
  [
    pathOf(GenerativeService.method.batchEmbedContents),
    plain(geminiGrpcVendor, "gemini", BatchEmbedContentsRequestSchema, BatchEmbedContentsResponseSchema, (body, lenient, dimensions) =>
      geminiEmbed(body, true, lenient, dimensions),
    ),
  ],
  [
    pathOf(ModelService.method.listModels),
    plain(geminiGrpcVendor, "gemini", ListModelsRequestSchema, ListModelsResponseSchema, ({ pageSize, pageToken }) => ({
      body: geminiModels("", new URLSearchParams({ pageSize: String(pageSize ?? 50), pageToken: String(pageToken ?? "") })),
    })),
  ],
]);

/** Undefined where no vendor has such a method. */
export function findMethod(path: string): GrpcMethod | undefined {
  return methods.get(path);
}

function pathOf({ parent, name }: { readonly parent: { readonly typeName: string }; readonly name: string }): string {
  return `/${parent.typeName}/${name}`;
}

function xaiChat(stream: boolean): GrpcMethod {
  return {
    is: "generate",
    vendor: xaiVendor,
    format: "xai",
    family: "xai",
    callIdPrefix: "call_",
    schema: stream ? GetChatCompletionChunkSchema : GetChatCompletionResponseSchema,
    stream,
    usageAlways: "usage",
    read(bytes) {
      const request = decode(GetCompletionsRequestSchema, bytes);
      const body = toJson(GetCompletionsRequestSchema, request) as JsonObject;
      return { body, reading: () => readCompletion(request, body, stream) };
    },
    writer: (reading) => new XaiWriter(reading),
    usage: xaiUsage,
  };
}

function geminiGenerate(stream: boolean): GrpcMethod {
  return {
    is: "generate",
    vendor: geminiGrpcVendor,
    format: "gemini",
    family: generateWire.family,
    callIdPrefix: generateWire.callIdPrefix,
    schema: GenerateContentResponseSchema,
    stream,
    usageAlways: undefined,
    read(bytes, lenient) {
      const body = toJson(GenerateContentRequestSchema, decode(GenerateContentRequestSchema, bytes)) as JsonObject;
      restoreBypasses(body);
      return { body, reading: () => readGenerate(facts(body, String(body.model ?? ""), stream, lenient)) };
    },
    writer: (reading) => generateWire.writer(reading),
    usage: generateWire.usage,
  };
}

type Answer = (body: JsonObject, lenient: boolean, dimensions: number) => PlainReply;

function plain(vendor: GrpcVendor, format: string, input: DescMessage | undefined, schema: DescMessage, answer: Answer): GrpcMethod {
  return {
    is: "answer",
    vendor,
    format,
    schema,
    answer(bytes, lenient, dimensions) {
      const request = input === undefined ? {} : (toJson(input, decode(input, bytes)) as JsonObject);
      return { request: structuredClone(request), ...answer(request, lenient, dimensions) };
    },
  };
}

function decode<Desc extends DescMessage>(schema: Desc, bytes: Uint8Array): MessageShape<Desc> {
  try {
    return fromBinary(schema, bytes);
  } catch {
    return refuse("The message cannot be decoded.");
  }
}

/** The model's bare name, as HTTP paths have it. */
function facts(body: JsonObject, resource: string, stream: boolean, lenient: boolean) {
  return { body, headers: {}, model: resource.replace(/^models\//, ""), stream, sse: true, lenient };
}

/** Values that stand for signatures are text in JSON; as bytes they came back in the other alphabet of base64. */
function restoreBypasses(value: unknown): void {
  if (Array.isArray(value)) value.forEach(restoreBypasses);
  if (!isObject(value)) return;
  for (const member of Object.values(value)) restoreBypasses(member);
  const { thoughtSignature } = value;
  const asWords = typeof thoughtSignature === "string" ? thoughtSignature.replaceAll("/", "_").replaceAll("+", "-") : "";
  if (/^(?:skip|context)_/.test(asWords)) value.thoughtSignature = asWords;
}

function geminiEmbed(body: JsonObject, batch: boolean, lenient: boolean, dimensions: number): PlainReply {
  const { model: resource, ...rest } = body;
  const model = String(resource ?? "").replace(/^models\//, "");
  const made = answerEmbed(batch ? rest : body, model, batch, lenient, dimensions);
  return { body: made.body, bill: { model, inputTokens: made.inputTokens } };
}

function answerXaiEmbed(body: JsonObject, _lenient: boolean, dimensions: number): PlainReply {
  const model = String(body.model ?? "");
  if (behaviourOf(model).kind === "missing") refuse(`The model ${model} does not exist.`, 404);
  const inputs = (Array.isArray(body.input) ? body.input : []).filter(isObject);
  if (inputs.length === 0 || inputs.length > 128) refuse("Between 1 and 128 inputs can be embedded at once.");
  const texts = inputs.map(({ string, imageUrl }) =>
    typeof string === "string" && string !== "" ? string : isObject(imageUrl) ? String(imageUrl.imageUrl) : "",
  );
  if (texts.includes("")) refuse("An input is empty.");
  const embeddings = texts.map((text, index) => ({ index, embeddings: [{ floatArray: vectorOf(text, dimensions) }] }));
  return {
    body: { id: "sim", embeddings, model, usage: { numTextEmbeddings: texts.length } },
    bill: { model, inputTokens: texts.reduce((sum, text) => sum + tokensOf(text), 0) },
  };
}

function xaiModels(embeds: boolean): PlainReply {
  const created = new Date(modelsCreated * 1_000).toISOString();
  const models = listedModels
    .filter((model) => (behaviourOf(model.id).kind === "embed") === embeds)
    .map(({ id }) => ({ name: id, version: "1.0", created }));
  return { body: { models } };
}
