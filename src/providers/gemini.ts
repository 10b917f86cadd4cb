/** Google's Gemini API. https://ai.google.dev/api */
import { createGeminiCodec, createGeminiEmbedCodec } from "../codecs/gemini/index.ts";
import { claimsGeminiModel, geminiModels, readGeminiModels } from "./gemini-models.ts";
import type { ModelListing } from "./list-models-by-http.ts";
import { createTraits } from "./model-traits.ts";
import { createFromSetup, type ProviderKind, withDefaultPath } from "./provider-kind.ts";

/** https://ai.google.dev/api/models#method:-models.list */
const listing: ModelListing = {
  path: (cursor) => `/models?pageSize=1000${cursor === undefined ? "" : `&pageToken=${encodeURIComponent(cursor)}`}`,
  read: readGeminiModels,
};

export const gemini: ProviderKind = {
  type: "gemini",
  baseUrl: "https://generativelanguage.googleapis.com/v1beta",
  keyVariables: ["GEMINI_API_KEY", "GOOGLE_API_KEY"],
  baseUrlVariables: ["GEMINI_BASE_URL", "GOOGLE_GEMINI_BASE_URL"],
  needsKey: true,
  // Never in the query, where it would end up in logs.
  credential: { header: "x-goog-api-key", scheme: "" },
  create: (setup) =>
    createFromSetup(setup, {
      baseUrl: withDefaultPath(setup.baseUrl, "/v1beta"),
      codec: createGeminiCodec(),
      embedCodec: createGeminiEmbedCodec(),
      writePath: (path) => path.replace(/^\/v1(?:beta)?(?=\/)/, ""),
      listing,
      traits: createTraits(geminiModels),
      claims: claimsGeminiModel,
    }),
};
