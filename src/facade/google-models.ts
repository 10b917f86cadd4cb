/** Google's list of models: https://ai.google.dev/api/models */
import { type Model, ModelCapability, ModelKind } from "../../gen/dragoman/v1/model_pb.ts";
import type { ModelShape } from "./models.ts";
import { readPageSize } from "./page.ts";

const defaultPageSize = 50;
const maxPageSize = 1_000;

export const googleModels: ModelShape = {
  name: "gemini-models",
  readQuery: (query) => ({
    pageSize: readPageSize(query, "pageSize", { standard: defaultPageSize, max: maxPageSize }),
    pageToken: query.get("pageToken") ?? "",
  }),
  writeList: ({ models, nextPageToken }) => ({ models: models.map(writeModel), nextPageToken: nextPageToken || undefined }),
  writeModel,
};

/** What is not known is left out. */
function writeModel(model: Model): Record<string, unknown> {
  return {
    name: `models/${model.id}`,
    baseModelId: model.id,
    version: "",
    displayName: model.displayName || model.id,
    description: model.description || undefined,
    inputTokenLimit: model.maxInputTokens ?? model.contextWindow,
    outputTokenLimit: model.maxOutputTokens,
    supportedGenerationMethods: methodsOf(model),
    thinking: model.capabilities.includes(ModelCapability.REASONING) ? true : undefined,
  };
}

/** A model of which nothing is known is one that generates. */
function methodsOf({ kinds }: Model): string[] {
  const embeds = kinds.includes(ModelKind.EMBED);
  const generates = kinds.includes(ModelKind.GENERATE) || !embeds;
  return [
    ...(generates ? ["generateContent", "streamGenerateContent", "countTokens"] : []),
    ...(embeds ? ["embedContent", "batchEmbedContents"] : []),
  ];
}
