/** Everything that is mounted, a line each. */
import { anthropicCountTokensDialect, anthropicMessagesDialect } from "../codecs/anthropic-messages/index.ts";
import { openAiChatDialect } from "../codecs/openai-chat/index.ts";
import { openAiEmbeddingsDialect } from "../codecs/openai-embeddings/index.ts";
import { anthropicModels } from "./anthropic-models.ts";
import { answerCountTokens } from "./count-tokens.ts";
import { answerEmbeddings } from "./embeddings.ts";
import type { Answer, Endpoint } from "./endpoint.ts";
import { answerGenerate } from "./generate.ts";
import { googleModels } from "./google-models.ts";
import { answerModel, answerModelList } from "./models.ts";
import { openAiModels } from "./openai-models.ts";
import { anthropicSurface } from "./surface.ts";

export function createEndpoints(): readonly Endpoint[] {
  return [
    post("/v1/chat/completions", "chat", answerGenerate(openAiChatDialect, { usesDefaultStream: true })),
    post("/v1/messages", "chat", answerGenerate(anthropicMessagesDialect)),
    post("/v1/messages/count_tokens", "chat", answerCountTokens(anthropicCountTokensDialect)),
    post("/v1/embeddings", "embed", answerEmbeddings(openAiEmbeddingsDialect)),
    get("/v1/models", "models", answerModelList(sharedModels)),
    get("/v1/models/{model+}", "models", answerModel(sharedModels)),
    ...["/v1beta", "/v1beta1"].flatMap((version) => [
      get(
        `${version}/models`,
        "models",
        answerModelList(() => googleModels),
      ),
      get(
        `${version}/models/{model+}`,
        "models",
        answerModel(() => googleModels),
      ),
    ]),
  ];
}

const sharedModels = ({ surface }: { surface: unknown }) => (surface === anthropicSurface ? anthropicModels : openAiModels);

function get(path: string, scope: Endpoint["scope"], answer: Answer): Endpoint {
  return { method: "GET", path, scope, answer };
}

function post(path: string, scope: Endpoint["scope"], answer: Answer): Endpoint {
  return { method: "POST", path, scope, answer };
}
