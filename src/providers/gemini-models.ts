/** Gemini's models: what is known of them, and their list as the service gives it. */
import { ModelCapability, ModelKind } from "../../gen/dragoman/v1/model_pb.ts";
import { isJsonObject, type JsonValue } from "../core/json.ts";
import { arrayOf, count, createModel, type ModelPage, textOf } from "./model-list.ts";
import type { TraitRule } from "./model-traits.ts";

/** https://ai.google.dev/gemini-api/docs/models and /thinking: 2.5 takes a budget, 3 and later a level. */
export const geminiModels: readonly TraitRule[] = [
  // Images in function results and a resolution per image came with 3.
  { pattern: /^gemini-2/, traits: { toolResultImages: false, mediaResolution: false } },
  { pattern: /^gemini-2\.0/, traits: { contextWindow: 1_048_576, maxOutputTokens: 8_192, reasoning: "none", vision: true } },
  {
    pattern: /^gemini-2\.5/,
    traits: { contextWindow: 1_048_576, maxOutputTokens: 65_536, reasoning: "budget", vision: true, structuredOutput: true },
  },
  { pattern: /^gemini-2\.5-pro/, traits: { alwaysReasons: true, reasoningBudget: { min: 128, max: 32_768 } } },
  { pattern: /^gemini-2\.5-flash-lite/, traits: { reasoningBudget: { min: 512, max: 24_576 } } },
  { pattern: /^gemini-2\.5.*(?:image|tts)/, traits: { reasoning: "none", structuredOutput: false } },
  { pattern: /^gemini-(?:[3-9]|\d\d)/, traits: { reasoning: "effort", vision: true, structuredOutput: true } },
  { pattern: /^gemini-3/, traits: { contextWindow: 1_048_576, maxOutputTokens: 65_536 } },
  { pattern: /^gemma-/, traits: { reasoning: "none" } },
  { pattern: /^gemini-embedding-/, traits: { embeddingDimensions: 3_072 } },
  { pattern: /^text-embedding-004/, traits: { embeddingDimensions: 768, contextWindow: 2_048 } },
];

/** Whether a bare model id is Google's by its name. */
export function claimsGeminiModel(model: string): boolean {
  return /^(?:gemini-|gemma-|text-embedding-004)/.test(model);
}

const kindsByMethod: Readonly<Record<string, ModelKind>> = {
  generateContent: ModelKind.GENERATE,
  embedContent: ModelKind.EMBED,
  predict: ModelKind.IMAGE,
};

/** `{models: [...], nextPageToken}`. Throws GatewayError where the body is no list. */
export function readGeminiModels(body: JsonValue, provider: string): ModelPage {
  const read = arrayOf(body, "models", provider)
    .filter(isJsonObject)
    .flatMap((entry) => {
      const methods = Array.isArray(entry.supportedGenerationMethods)
        ? entry.supportedGenerationMethods.map((method) => textOf(method))
        : [];
      const kinds = [
        ...new Set(methods.flatMap((method) => (Object.hasOwn(kindsByMethod, method) ? [kindsByMethod[method] as ModelKind] : []))),
      ];
      const model = createModel(
        {
          id: textOf(entry.name).replace(/^models\//, ""),
          ownedBy: "google",
          displayName: textOf(entry.displayName),
          description: textOf(entry.description),
          ...(kinds.length === 0 ? {} : { kinds }),
          maxInputTokens: count(entry.inputTokenLimit),
          maxOutputTokens: count(entry.outputTokenLimit),
        },
        provider,
      );
      if (model === undefined) return [];
      if (entry.thinking === true) model.capabilities.push(ModelCapability.REASONING);
      return [model];
    });
  const next = isJsonObject(body) ? textOf(body.nextPageToken) : "";
  return next === "" ? { models: read } : { models: read, next };
}
