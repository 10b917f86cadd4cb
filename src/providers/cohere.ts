/** Cohere. https://docs.cohere.com/v2/reference */
import { ModelCapability, ModelKind, ModelModality } from "../../gen/dragoman/v1/model_pb.ts";
import { createCohereChatCodec, createCohereEmbedCodec } from "../codecs/cohere-chat/index.ts";
import { isJsonObject, type JsonValue } from "../core/json.ts";
import type { ModelListing } from "./list-models-by-http.ts";
import { arrayOf, count, createModel, type ModelPage, textOf } from "./model-list.ts";
import { createTraits, type TraitRule } from "./model-traits.ts";
import { bearer, createFromSetup, type ProviderKind } from "./provider-kind.ts";

/** https://docs.cohere.com/docs/models and the models' own pages. */
const models: readonly TraitRule[] = [
  { pattern: /^command-/, traits: { tools: true, structuredOutput: true } },
  { pattern: /^command(?:-light|-nightly)?$/, traits: { tools: false, structuredOutput: false, reasoning: "none" } },
  // Only the models named so think; unknown later ones may.
  { pattern: /^(?:command-r|command-a-(?:03|vision|translate)|c4ai-)/, traits: { reasoning: "none" } },
  { pattern: /^command-r/, traits: { contextWindow: 128_000, maxOutputTokens: 4_096 } },
  { pattern: /^command-a-/, traits: { contextWindow: 256_000, maxOutputTokens: 8_192 } },
  { pattern: /^command-a-(?:reasoning|plus)/, traits: { reasoning: "budget", maxOutputTokens: 32_768 } },
  { pattern: /^command-a-vision/, traits: { vision: true, tools: false, contextWindow: 128_000 } },
  { pattern: /^command-a-plus/, traits: { vision: true } },
  { pattern: /^command-a-translate/, traits: { contextWindow: 16_000 } },
  { pattern: /^c4ai-aya-/, traits: { tools: false, structuredOutput: false, maxOutputTokens: 4_096 } },
  { pattern: /^c4ai-aya-vision/, traits: { vision: true, contextWindow: 16_000 } },
  { pattern: /^embed-v4/, traits: { embeddingDimensions: 1_536, contextWindow: 128_000, vision: true } },
  { pattern: /^embed-(?:english|multilingual)-v3/, traits: { embeddingDimensions: 1_024, contextWindow: 512 } },
  { pattern: /^embed-(?:english|multilingual)-light-v3/, traits: { embeddingDimensions: 384, contextWindow: 512 } },
];

/** https://docs.cohere.com/reference/list-models */
const listing: ModelListing = {
  path: (cursor) => `/v1/models?page_size=1000${cursor === undefined ? "" : `&page_token=${encodeURIComponent(cursor)}`}`,
  read: readModels,
};

const kindsByEndpoint: Readonly<Record<string, ModelKind>> = {
  chat: ModelKind.GENERATE,
  embed: ModelKind.EMBED,
  rerank: ModelKind.RERANK,
};

const capabilitiesByFeature: Readonly<Record<string, ModelCapability>> = {
  tools: ModelCapability.TOOLS,
  json_schema: ModelCapability.STRUCTURED_OUTPUT,
  logprobs: ModelCapability.LOGPROBS,
  reasoning: ModelCapability.REASONING,
};

function readModels(body: JsonValue, provider: string): ModelPage {
  const read = arrayOf(body, "models", provider)
    .filter(isJsonObject)
    .flatMap((entry) => {
      if (entry.is_deprecated === true) return [];
      const kinds = words(entry.endpoints).flatMap((endpoint) => lookUp(kindsByEndpoint, endpoint));
      const model = createModel(
        {
          id: textOf(entry.name),
          ownedBy: "cohere",
          ...(kinds.length === 0 ? {} : { kinds }),
          contextWindow: count(entry.context_length),
        },
        provider,
      );
      if (model === undefined) return [];
      const features = words(entry.features);
      model.capabilities.push(...features.flatMap((feature) => lookUp(capabilitiesByFeature, feature)));
      if (features.includes("vision")) model.inputModalities.push(ModelModality.TEXT, ModelModality.IMAGE);
      return [model];
    });
  const next = isJsonObject(body) ? textOf(body.next_page_token) : "";
  return next === "" ? { models: read } : { models: read, next };
}

function words(list: JsonValue | undefined): string[] {
  return Array.isArray(list) ? list.map(textOf) : [];
}

function lookUp<Value>(table: Readonly<Record<string, Value>>, word: string): Value[] {
  const value = Object.hasOwn(table, word) ? table[word] : undefined;
  return value === undefined ? [] : [value];
}

export const cohere: ProviderKind = {
  type: "cohere",
  baseUrl: "https://api.cohere.com",
  keyVariables: ["COHERE_API_KEY", "CO_API_KEY"],
  baseUrlVariables: ["COHERE_BASE_URL", "CO_API_URL"],
  needsKey: true,
  credential: bearer,
  create: (setup) => {
    // Chat and models have different versions in their paths: one in the base URL is taken off.
    const baseUrl = new URL(setup.baseUrl);
    baseUrl.pathname = baseUrl.pathname.replace(/\/v\d+\/*$/, "");
    return createFromSetup(setup, {
      baseUrl,
      codec: createCohereChatCodec(),
      embedCodec: createCohereEmbedCodec(),
      listing,
      traits: createTraits(models),
      claims: (model) => /^(?:command-|c4ai-|embed-(?:v4|english|multilingual))[^/:]*$/.test(model),
    });
  },
};
