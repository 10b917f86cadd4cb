/** Gemini's GenerativeService by way of its JSON codec: messages are the proto3 form of the same API. Loaded where it is used. */
import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";
import type { GenerateRequest } from "../../gen/dragoman/v1/generate_pb.ts";
import { type CountTokensResponse, CountTokensResponseSchema } from "../../gen/dragoman/v1/inference_service_pb.ts";
import type { Model } from "../../gen/dragoman/v1/model_pb.ts";
import { UsageBasis } from "../../gen/dragoman/v1/usage_pb.ts";
import {
  BatchEmbedContentsRequestSchema,
  BatchEmbedContentsResponseSchema,
  EmbedContentRequestSchema,
  EmbedContentResponseSchema,
  GenerateContentRequestSchema,
  type GenerateContentResponse,
  GenerateContentResponseSchema,
  GenerativeService,
  type CountTokensResponse as VendorCount,
} from "../../gen/google/ai/generativelanguage/v1beta/generative_service_pb.ts";
import { ListModelsResponseSchema, ModelService } from "../../gen/google/ai/generativelanguage/v1beta/model_service_pb.ts";
import { createGeminiCodec, createGeminiEmbedCodec } from "../codecs/gemini/index.ts";
import type { UpstreamRequest } from "../core/dialect.ts";
import { GatewayError } from "../core/error.ts";
import { isJsonObject, parseJson, upstreamJsonLimits } from "../core/json.ts";
import type { MessageCodec } from "../core/message-codec.ts";
import type { Target } from "../core/target.ts";
import { tokenCount } from "../core/usage.ts";
import { readGeminiModels } from "./gemini-models.ts";
import type { GrpcService, PreparedCall, Send } from "./grpc-provider.ts";
import { httpLimits } from "./http-limits.ts";
import { jsonOfMessage, messageFromJson } from "./proto-json.ts";

type RequestDesc = typeof GenerateContentRequestSchema;
type ResponseDesc = typeof GenerateContentResponseSchema;

/** Fields of the JSON body that the core request calls otherwise. */
const corePaths = {
  serviceTier: "service_tier",
  store: "server_state.store",
  labels: "metadata",
  "generationConfig.thinkingConfig.thinkingLevel": "reasoning.effort",
} as const;

const jsonCodec = createGeminiCodec();
const embedCodec = createGeminiEmbedCodec();

const codec: MessageCodec<MessageShape<RequestDesc>, GenerateContentResponse, GenerateContentResponse> = {
  format: jsonCodec.format,
  ...(jsonCodec.takesUrl === undefined ? {} : { takesUrl: jsonCodec.takesUrl }),

  writeRequest(request, target) {
    const written = jsonCodec.writeRequest(withoutForgetting(request), target, { stream: true });
    const message = toMessage(GenerateContentRequestSchema, written);
    message.model = resourceOf(target);
    return { message, report: written.report, state: written.state };
  },

  eventReader(provider, state) {
    const reader = jsonCodec.eventReader(provider, state);
    return {
      read: (chunk) => reader.read({ event: "", data: textOf(chunk) }),
      end: () => reader.end(),
      abandon: () => reader.abandon(),
    };
  },

  readResponse: (reply, provider, state) => jsonCodec.readResponse(textOf(reply), provider, state),
};

/** This version of the API keeps nothing: not to keep an answer needs no field. */
function withoutForgetting(request: GenerateRequest): GenerateRequest {
  if (request.serverState?.store !== false) return request;
  const { store: _store, ...serverState } = request.serverState;
  return { ...request, serverState };
}

export const geminiService: GrpcService<RequestDesc, ResponseDesc, ResponseDesc> = {
  codec,
  stream: GenerativeService.method.streamGenerateContent,
  unary: GenerativeService.method.generateContent,
  embedding: {
    maxInputs: embedCodec.maxInputs,
    prepare(request, target, provider) {
      const written = embedCodec.writeRequest(request, target);
      // Checked before anything is sent, so that its report is complete.
      const send = request.inputs.length === 1 ? prepareOne(written, target) : prepareMany(written, target);
      return {
        report: written.report,
        send: async (sender) => embedCodec.readResponse(JSON.stringify(await send(sender)), request, provider),
      };
    },
  },
  counting: prepareCount,
  listing: listModels,
};

function prepareOne(written: UpstreamRequest, target: Target) {
  const message = toMessage(EmbedContentRequestSchema, written);
  message.model = resourceOf(target);
  return async (send: Send) => jsonOfMessage(EmbedContentResponseSchema, await send(GenerativeService.method.embedContent, message));
}

function prepareMany(written: UpstreamRequest, target: Target) {
  const message = toMessage(BatchEmbedContentsRequestSchema, written);
  message.model = resourceOf(target);
  return async (send: Send) =>
    jsonOfMessage(BatchEmbedContentsResponseSchema, await send(GenerativeService.method.batchEmbedContents, message));
}

function prepareCount(request: GenerateRequest, target: Target, provider: string): PreparedCall<CountTokensResponse> {
  const { message, report } = codec.writeRequest(request, target);
  return {
    report,
    async send(send) {
      const reply = await send(GenerativeService.method.countTokens, { model: message.model, generateContentRequest: message });
      return readCount(reply, target, provider);
    },
  };
}

function readCount({ totalTokens, cachedContentTokenCount }: VendorCount, target: Target, provider: string): CountTokensResponse {
  const inputTokens = tokenCount(totalTokens);
  if (inputTokens === undefined) throw new GatewayError("provider_error", `provider ${provider} sent a count that is none`);
  return create(CountTokensResponseSchema, {
    inputTokens,
    ...(cachedContentTokenCount > 0 ? { cacheReadTokens: cachedContentTokenCount } : {}),
    basis: UsageBasis.PROVIDER,
    servedModel: target.model,
    provider,
  });
}

async function listModels(send: Send, provider: string): Promise<Model[]> {
  const models: Model[] = [];
  let pageToken = "";
  for (let page = 0; page < httpLimits.maxModelListPages; page++) {
    const reply = await send(ModelService.method.listModels, { pageSize: 1_000, pageToken });
    // A list that is empty has no member in JSON.
    models.push(...readGeminiModels({ models: [], ...jsonOfMessage(ListModelsResponseSchema, reply) }, provider).models);
    if (reply.nextPageToken === "" || reply.nextPageToken === pageToken) break;
    pageToken = reply.nextPageToken;
  }
  return models;
}

function toMessage<Desc extends DescMessage>(schema: Desc, { body, report }: UpstreamRequest): MessageShape<Desc> {
  return messageFromJson({ schema, body: parseJson(body, upstreamJsonLimits), report, corePaths });
}

/** Messages name a model with its collection, as paths do. */
function resourceOf({ model }: Target): string {
  return /^(?:models|tunedModels|dynamic)\//.test(model) ? model : `models/${model}`;
}

/** The answer's JSON. A finish reason that is newer than this version is a number there: for the codec, a word that it does not know. */
function textOf(message: GenerateContentResponse): string {
  const json = jsonOfMessage(GenerateContentResponseSchema, message);
  for (const candidate of Array.isArray(json.candidates) ? json.candidates : []) {
    if (isJsonObject(candidate) && typeof candidate.finishReason === "number") candidate.finishReason = String(candidate.finishReason);
  }
  return JSON.stringify(json);
}
