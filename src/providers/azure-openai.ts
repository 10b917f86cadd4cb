/**
 * OpenAI's models at Azure. Models are named by deployment, whose list is not to be had with a key: configure `models`.
 * https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle
 */
import { createOpenAiChatCodec } from "../codecs/openai-chat/index.ts";
import { createOpenAiEmbeddingsCodec } from "../codecs/openai-embeddings/index.ts";
import { createOpenAiResponsesCodec } from "../codecs/openai-responses/index.ts";
import { createTraits } from "./model-traits.ts";
import { openAiModels } from "./openai-models.ts";
import { createFromSetup, type ProviderKind } from "./provider-kind.ts";

/** A dated version needs the deployment in the path; the API named v1 takes it as the model. */
const dated = /^\d{4}-\d{2}-\d{2}(?:-preview)?$/;

export const azureOpenAi: ProviderKind = {
  type: "azure-openai",
  keyVariables: ["AZURE_OPENAI_API_KEY"],
  baseUrlVariables: ["AZURE_OPENAI_ENDPOINT"],
  apiVersionVariables: ["AZURE_OPENAI_API_VERSION", "OPENAI_API_VERSION"],
  needsKey: true,
  credential: { header: "api-key", scheme: "" },
  create: (setup) => {
    const { apiVersion = "v1", quirks } = setup.settings;
    if (apiVersion !== "v1" && apiVersion !== "preview" && !dated.test(apiVersion)) {
      throw new Error(`api_version: must be "v1", "preview" or a date such as 2024-10-21, not ${JSON.stringify(apiVersion)}`);
    }
    const baseUrl = new URL(setup.baseUrl);
    baseUrl.pathname = baseUrl.pathname.replace(/(?<!\/)\/+$/, "").replace(/\/openai(?:\/v1)?$/, "");
    return createFromSetup(setup, {
      baseUrl,
      codec: createOpenAiChatCodec({ sendUser: "user", ...quirks }),
      // The dated versions put deployments into the path, where Responses has none.
      ...(dated.test(apiVersion) ? {} : { otherCodecs: [createOpenAiResponsesCodec({ sendUser: "user", counting: false })] }),
      embedCodec: createOpenAiEmbeddingsCodec({ sendUser: true }),
      writePath: (path, { model }) => {
        if (dated.test(apiVersion)) return `/openai/deployments/${encodeURIComponent(model)}${path}?api-version=${apiVersion}`;
        return `/openai/v1${path}${apiVersion === "preview" ? "?api-version=preview" : ""}`;
      },
      traits: createTraits(openAiModels),
    });
  },
};
