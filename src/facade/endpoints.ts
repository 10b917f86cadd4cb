/** Everything that is mounted, a line each. */
import { anthropicCountTokensDialect, anthropicMessagesDialect } from "../codecs/anthropic-messages/index.ts";
import { geminiBatchEmbedDialect, geminiCountTokensDialect, geminiDialect, geminiEmbedDialect } from "../codecs/gemini/index.ts";
import { openAiChatDialect } from "../codecs/openai-chat/index.ts";
import { openAiCompletionsDialect } from "../codecs/openai-completions/index.ts";
import { openAiEmbeddingsDialect } from "../codecs/openai-embeddings/index.ts";
import { openAiInputTokensDialect, openAiResponsesDialect } from "../codecs/openai-responses/index.ts";
import { GatewayError } from "../core/error.ts";
import type { Scope } from "../core/scope.ts";
import type { WorkerLink } from "../core/worker-link.ts";
import { anthropicModels } from "./anthropic-models.ts";
import { answerCompletions } from "./completions.ts";
import { answerCountTokens } from "./count-tokens.ts";
import { answerEmbeddings } from "./embeddings.ts";
import type { Answer, Endpoint, Exchange } from "./endpoint.ts";
import { answerGenerate } from "./generate.ts";
import { googleModels } from "./google-models.ts";
import { answerModel, answerModelList, type ModelShape } from "./models.ts";
import { openAiModels } from "./openai-models.ts";
import { answerInputTokens, answerResponses } from "./responses.ts";
import { RunningResponses } from "./running-responses.ts";
import { answerCancel, answerDelete, answerInputItems, answerRetrieve } from "./stored-responses.ts";
import { anthropicSurface, googleSurface, googleVerbs } from "./surface.ts";

/** Of several that match a path, the first counts. `link`: where several workers serve. */
export function createEndpoints(link?: WorkerLink): readonly Endpoint[] {
  const running = new RunningResponses(link);
  return [
    post("/v1/chat/completions", "chat", answerGenerate(openAiChatDialect, { usesDefaultStream: true }), generates(openAiChatDialect)),
    post("/v1/completions", "chat", answerCompletions, generates(openAiCompletionsDialect)),
    post("/v1/responses", "chat", answerResponses(running), generates(openAiResponsesDialect)),
    post("/v1/responses/input_tokens", "chat", answerInputTokens, counts(openAiInputTokensDialect)),
    post("/v1/responses/compact", "chat", refuseCompact),
    get("/v1/responses/{id}", "chat", answerRetrieve(running)),
    { method: "DELETE", path: "/v1/responses/{id}", scope: "chat", answer: answerDelete(running) },
    post("/v1/responses/{id}/cancel", "chat", answerCancel(running)),
    get("/v1/responses/{id}/input_items", "chat", answerInputItems(running)),
    post("/v1/messages", "chat", answerGenerate(anthropicMessagesDialect), generates(anthropicMessagesDialect)),
    post("/v1/messages/count_tokens", "chat", answerCountTokens(anthropicCountTokensDialect), counts(anthropicCountTokensDialect)),
    post("/v1/embeddings", "embed", answerEmbeddings(openAiEmbeddingsDialect), embeds(openAiEmbeddingsDialect)),
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
    ...["/v1", "/v1beta", "/v1beta1"].flatMap((version) => geminiVerbs(`${version}/models/{model+}`)),
    // Clients that take a slash in a model's name for a path of its own: `/v1beta/provider/model:generateContent`.
    ...["/v1beta", "/v1beta1"].flatMap((version) => geminiVerbs(`${version}/{model+}`)),
  ];
}

function geminiVerbs(model: string): readonly Endpoint[] {
  return [
    post(`${model}:generateContent`, "chat", answerGenerate(geminiDialect, { stream: false }), generates(geminiDialect)),
    post(`${model}:streamGenerateContent`, "chat", answerGenerate(geminiDialect, { stream: true }), generates(geminiDialect)),
    post(`${model}:countTokens`, "chat", answerCountTokens(geminiCountTokensDialect), counts(geminiCountTokensDialect)),
    post(`${model}:embedContent`, "embed", answerEmbeddings(geminiEmbedDialect), embeds(geminiEmbedDialect)),
    post(`${model}:batchEmbedContents`, "embed", answerEmbeddings(geminiBatchEmbedDialect), embeds(geminiBatchEmbedDialect)),
    post(`${model}:{verb}`, "chat", refuseVerb),
  ];
}

/** What OpenAI gives back is encrypted by it, for itself. Without an answer of its own the path would be an id that takes no POST. */
async function refuseCompact(): Promise<void> {
  throw new GatewayError("unsupported", "conversations are not compacted here; send fewer messages, or a summary that a model wrote");
}

/** A path of models takes GET too, so an unknown verb would be told to use that. */
async function refuseVerb({ params }: Exchange): Promise<void> {
  const { verb = "" } = params;
  throw new GatewayError("route_not_found", `models have no method "${verb.slice(0, 64)}"; there are ${[...googleVerbs].join(", ")}`);
}

function sharedModels({ surface }: Exchange): ModelShape {
  if (surface === anthropicSurface) return anthropicModels;
  return surface === googleSurface ? googleModels : openAiModels;
}

function get(path: string, scope: Scope, answer: Answer): Endpoint {
  return { method: "GET", path, scope, answer };
}

function post(path: string, scope: Scope, answer: Answer, runs?: Endpoint["runs"]): Endpoint {
  return { method: "POST", path, scope, answer, runs };
}

/** Whether it streams is not known before the request is read. */
function generates({ name: dialect }: { readonly name: string }): Endpoint["runs"] {
  return { operation: "complete", dialect };
}

function embeds({ name: dialect }: { readonly name: string }): Endpoint["runs"] {
  return { operation: "embed", dialect };
}

function counts({ name: dialect }: { readonly name: string }): Endpoint["runs"] {
  return { operation: "count_tokens", dialect };
}
