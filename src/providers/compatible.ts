/** Makes vendors out of the table of those that speak Chat Completions. */
import { createOpenAiChatCodec } from "../codecs/openai-chat/index.ts";
import { createOpenAiEmbeddingsCodec } from "../codecs/openai-embeddings/index.ts";
import { type CompatibleVendor, compatibleQuirks, compatibleVendors } from "./compatible-vendors.ts";
import { readOpenAiModels } from "./model-list.ts";
import { createTraits } from "./model-traits.ts";
import { bearer, createFromSetup, type ProviderKind } from "./provider-kind.ts";

export const compatible: readonly ProviderKind[] = compatibleVendors.map(createKind);

function createKind(vendor: CompatibleVendor): ProviderKind {
  const { type, baseUrl, keys, claims, embeddings, listPath = "/models", local = false } = vendor;
  // `github-models` has GITHUB_MODELS_BASE_URL.
  const variable = `${type.toUpperCase().replaceAll("-", "_")}_BASE_URL`;
  return {
    type,
    ...(baseUrl === undefined ? {} : { baseUrl }),
    keyVariables: keys,
    baseUrlVariables: [variable],
    needsKey: baseUrl !== undefined && !local,
    local,
    credential: bearer,
    create: (setup) =>
      createFromSetup(setup, {
        codec: createOpenAiChatCodec({ ...compatibleQuirks, ...vendor.quirks, ...setup.settings.quirks }),
        ...(embeddings === undefined ? {} : { embedCodec: createOpenAiEmbeddingsCodec(embeddings) }),
        ...(listPath === null ? {} : { listing: { path: () => listPath, read: readOpenAiModels } }),
        traits: createTraits(vendor.models ?? []),
        ...(claims === undefined ? {} : { claims: (model: string) => claims.test(model) }),
      }),
  };
}
