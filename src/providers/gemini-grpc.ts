/** Google's Gemini API over gRPC. https://ai.google.dev/api; protos: https://github.com/googleapis/googleapis */
import { claimsGeminiModel, geminiModels } from "./gemini-models.ts";
import { GrpcConnection } from "./grpc-connection.ts";
import { vendorError } from "./grpc-failure.ts";
import { createGrpcProvider } from "./grpc-provider.ts";
import { createTraits } from "./model-traits.ts";
import type { ProviderKind } from "./provider-kind.ts";

/** The gRPC API takes a budget for all models, no level, and no resolution of single images. */
const traits = createTraits([
  ...geminiModels,
  { pattern: /^gemini-(?:[3-9]|\d\d)/, traits: { reasoning: "budget", mediaResolution: false, alwaysReasons: true } },
]);

export const geminiGrpc: ProviderKind = {
  type: "gemini-grpc",
  baseUrl: "https://generativelanguage.googleapis.com",
  // The vendor's usual variable enables its HTTP API; this one is configured.
  keyVariables: [],
  baseUrlVariables: [],
  needsKey: true,
  credential: { header: "x-goog-api-key", scheme: "" },
  create: (setup) =>
    createGrpcProvider({
      connection: new GrpcConnection(setup, (failure) => vendorError(failure, setup.settings.name)),
      load: async () => (await import("./grpc-gemini-service.ts")).geminiService,
      has: { embedding: true, counting: true, listing: true },
      media: setup.dependencies.media,
      traits,
      claims: claimsGeminiModel,
    }),
};
