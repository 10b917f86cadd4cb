/** xAI's Chat, Embedder and Models services. Loaded where they are used. */

import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Model } from "../../gen/dragoman/v1/model_pb.ts";
import { ModelKind } from "../../gen/dragoman/v1/model_pb.ts";
import {
  Chat,
  type GetChatCompletionChunkSchema,
  type GetChatCompletionResponseSchema,
  type GetCompletionsRequestSchema,
} from "../../gen/xai/api/v1/chat_pb.ts";
import { Embedder } from "../../gen/xai/api/v1/embed_pb.ts";
import { type LanguageModel, Models } from "../../gen/xai/api/v1/models_pb.ts";
import { createXaiCodec, maxEmbedInputs, readEmbedResponse, writeEmbedRequest } from "../codecs/xai/index.ts";
import type { GrpcService, Send } from "./grpc-provider.ts";
import { createModel } from "./model-list.ts";

export const xaiService: GrpcService<
  typeof GetCompletionsRequestSchema,
  typeof GetChatCompletionChunkSchema,
  typeof GetChatCompletionResponseSchema
> = {
  codec: createXaiCodec(),
  stream: Chat.method.getCompletionChunk,
  unary: Chat.method.getCompletion,
  embedding: {
    maxInputs: maxEmbedInputs,
    prepare(request, target, provider) {
      const { message, report } = writeEmbedRequest(request, target);
      return { report, send: async (send) => readEmbedResponse(await send(Embedder.method.embed, message), request, provider) };
    },
  },
  listing: listModels,
};

async function listModels(send: Send, provider: string): Promise<Model[]> {
  const [language, embedding] = await Promise.all([
    send(Models.method.listLanguageModels, {}),
    send(Models.method.listEmbeddingModels, {}),
  ]);
  return [
    ...language.models.flatMap((entry) => modelsOf(entry, ModelKind.GENERATE, provider)),
    ...embedding.models.flatMap((entry) => modelsOf(entry, ModelKind.EMBED, provider)),
  ];
}

type Entry = Pick<LanguageModel, "name" | "aliases" | "created"> & { readonly maxPromptLength?: number };

/** A model and its aliases: each can be named in a request. */
function modelsOf({ name, aliases, created, maxPromptLength = 0 }: Entry, kind: ModelKind, provider: string): Model[] {
  return [name, ...aliases].flatMap((id) => {
    const model = createModel(
      {
        id,
        ownedBy: "xai",
        kinds: [kind],
        createdMs: created === undefined ? undefined : timestampMs(created),
        maxInputTokens: maxPromptLength > 0 ? maxPromptLength : undefined,
      },
      provider,
    );
    if (model === undefined) return [];
    return [model];
  });
}
