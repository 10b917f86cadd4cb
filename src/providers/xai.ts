/** xAI over gRPC; its OpenAI-compatible API is a row of compatible-vendors. https://docs.x.ai/docs/grpc-reference */
import { GrpcConnection } from "./grpc-connection.ts";
import { vendorError } from "./grpc-failure.ts";
import { createGrpcProvider } from "./grpc-provider.ts";
import { createTraits } from "./model-traits.ts";
import { bearer, type ProviderKind } from "./provider-kind.ts";

/** https://docs.x.ai/docs/models */
const traits = createTraits([
  { pattern: /^grok-(?:2|3|4-0|4$|code)/, traits: { reasoning: "none" } },
  { pattern: /^grok-3-mini/, traits: { reasoning: "effort" } },
  { pattern: /^grok-3/, traits: { contextWindow: 131_072 } },
  { pattern: /^grok-(?:4-0|4$|code)/, traits: { contextWindow: 256_000 } },
]);

export const xaiGrpc: ProviderKind = {
  type: "xai-grpc",
  baseUrl: "https://api.x.ai",
  // The vendor's usual variable enables its HTTP API; this one is configured.
  keyVariables: [],
  baseUrlVariables: [],
  needsKey: true,
  credential: bearer,
  create: (setup) =>
    createGrpcProvider({
      connection: new GrpcConnection(setup, (failure) => readFailure(failure, setup.settings.name)),
      load: async () => (await import("./grpc-xai-service.ts")).xaiService,
      has: { embedding: true, counting: false, listing: true },
      media: setup.dependencies.media,
      traits,
      claims: (model) => /^grok-[^/:]*$/.test(model),
    }),
};

/** Used-up credits have no code of their own: the text says so. */
function readFailure(failure: Parameters<typeof vendorError>[0], provider: string) {
  const isUsedUp = failure.codeName === "RESOURCE_EXHAUSTED" && /credits|spending limit|billing/i.test(failure.message);
  return vendorError(failure, provider, isUsedUp ? { reason: "quota_exhausted", retryable: false } : {});
}
