/** OpenAI itself. https://platform.openai.com/docs/api-reference */
import { createOpenAiChatCodec } from "../codecs/openai-chat/index.ts";
import { createOpenAiEmbeddingsCodec } from "../codecs/openai-embeddings/index.ts";
import { createOpenAiResponsesCodec } from "../codecs/openai-responses/index.ts";
import { readOpenAiModels } from "./model-list.ts";
import { createTraits } from "./model-traits.ts";
import { openAiModels } from "./openai-models.ts";
import { bearer, createFromSetup, type ProviderKind } from "./provider-kind.ts";

/** gpt-oss carries the name but runs elsewhere. */
const ownModels =
  /^(?!gpt-oss)(?:gpt-|chatgpt-|o\d(?:-|$)|ft:|codex-|computer-use|text-embedding-(?:3|ada)|omni-moderation|davinci-|babbage-|dall-e-|whisper-|tts-|sora-)/;

export const openai: ProviderKind = {
  type: "openai",
  baseUrl: "https://api.openai.com/v1",
  keyVariables: ["OPENAI_API_KEY"],
  baseUrlVariables: ["OPENAI_BASE_URL"],
  needsKey: true,
  credential: bearer,
  create: (setup) =>
    createFromSetup(setup, {
      codec: createOpenAiChatCodec({ sendUser: "user", ...setup.settings.quirks }),
      otherCodecs: [createOpenAiResponsesCodec({ sendUser: "user" })],
      embedCodec: createOpenAiEmbeddingsCodec({ sendUser: true }),
      listing: { path: () => "/models", read: readOpenAiModels },
      traits: createTraits(openAiModels),
      claims: (model) => ownModels.test(model),
    }),
};

/**
 * The same vendor, or a server like it, always asked in Responses: for models that speak nothing else, and for reasoning
 * that clients of other dialects shall keep over their turns.
 */
export const openaiResponses: ProviderKind = {
  type: "openai-responses",
  baseUrl: "https://api.openai.com/v1",
  // The key of the environment is that of type openai: one key makes one provider.
  keyVariables: [],
  baseUrlVariables: [],
  needsKey: true,
  credential: bearer,
  create: (setup) => {
    const { sendUser = "user", refusedParameters = [] } = setup.settings.quirks ?? {};
    return createFromSetup(setup, {
      codec: createOpenAiResponsesCodec({ sendUser, refusedParameters }),
      embedCodec: createOpenAiEmbeddingsCodec({ sendUser: true }),
      listing: { path: () => "/models", read: readOpenAiModels },
      traits: createTraits(openAiModels),
    });
  },
};
