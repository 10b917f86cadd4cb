/** OpenAI's list of models, with the facts of surfaces.md N6 beside it. */
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type Model, ModelCapability, ModelModality } from "../../gen/dragoman/v1/model_pb.ts";
import type { ModelShape } from "./models.ts";

export const openAiModels: ModelShape = {
  name: "openai-models",
  readQuery: () => undefined,
  writeList: ({ models }) => ({ object: "list", data: models.map(writeModel) }),
  writeModel,
};

/** What is not known is left out; `created` is 0 where the provider does not say. */
function writeModel(model: Model): Record<string, unknown> {
  const able = (capability: ModelCapability) => (model.capabilities.includes(capability) ? true : undefined);
  return {
    id: model.id,
    object: "model",
    created: model.createdAt === undefined ? 0 : Math.floor(timestampMs(model.createdAt) / 1_000),
    owned_by: model.ownedBy,
    context_window: model.contextWindow,
    max_tokens: model.maxOutputTokens,
    supports_vision: model.inputModalities.includes(ModelModality.IMAGE) ? true : undefined,
    supports_tool_calls: able(ModelCapability.TOOLS),
    supports_reasoning: able(ModelCapability.REASONING),
    input_cost_per_1m: dollars(model.inputPriceNanoUsdPer1m),
    output_cost_per_1m: dollars(model.outputPriceNanoUsdPer1m),
    routing_strategy: model.routingStrategy || undefined,
    description: model.description || undefined,
  };
}

function dollars(nano: bigint | undefined): number | undefined {
  return nano === undefined || nano === 0n ? undefined : Number(nano) / 1e9;
}
