/** GET /v1/models and /v1/models/{id}: OpenAI's list with the facts of surfaces.md N6 beside it. */
import { create } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { ListModelsRequestSchema, type Model, ModelCapability, ModelModality } from "../../gen/dragoman/v1/model_pb.ts";
import { GatewayError } from "../core/error.ts";
import { withCall } from "./call.ts";
import type { Exchange } from "./endpoint.ts";
import { sendJson } from "./exchange.ts";
import { callHeaders } from "./reply-headers.ts";

export function answerModelList(exchange: Exchange): Promise<void> {
  return list(exchange, [], (models) => ({ object: "list", data: models.map(writeModel) }));
}

export function answerModel(exchange: Exchange): Promise<void> {
  return list(exchange, [exchange.rest], ([model]) => {
    if (model !== undefined) return writeModel(model);
    throw new GatewayError(
      "model_not_found",
      `no model "${exchange.rest.slice(0, 256)}" is configured; GET /v1/models lists what there is`,
    );
  });
}

async function list(exchange: Exchange, ids: string[], write: (models: Model[]) => unknown): Promise<void> {
  const principal = await exchange.authenticate();
  const facts = { operation: "list_models", dialect: "openai-models", principal, clientPath: (path: string) => path } as const;
  await withCall(exchange, facts, async (call) => {
    const { models } = await exchange.options.operations.listModels(create(ListModelsRequestSchema, { ids }), call);
    sendJson(exchange.response, 200, callHeaders(call), JSON.stringify(write(models)));
  });
}

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
