/** Endpoints that list models, in the shape of whichever vendor's clients ask. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { ListModelsRequestSchema, type ListModelsResponse, type Model } from "../../gen/dragoman/v1/model_pb.ts";
import { GatewayError } from "../core/error.ts";
import { rateLimitHeaders } from "../core/rate-limit-headers.ts";
import { withCall } from "./call.ts";
import type { Answer, Exchange } from "./endpoint.ts";
import { sendJson } from "./exchange.ts";
import { callHeaders } from "./reply-headers.ts";

/** How a vendor lists models. */
export interface ModelShape {
  readonly name: string;
  /** Throws GatewayError for a page that cannot be. */
  readQuery(query: URLSearchParams): { pageSize: number; pageToken: string } | undefined;
  writeList(list: ListModelsResponse, query: URLSearchParams): unknown;
  writeModel(model: Model): unknown;
}

type ShapeOf = (exchange: Exchange) => ModelShape;

export function answerModelList(shapeOf: ShapeOf): Answer {
  return (exchange) => {
    const shape = shapeOf(exchange);
    const { query } = exchange;
    return list(exchange, shape, { ...shape.readQuery(query) }, (found) => shape.writeList(found, query));
  };
}

export function answerModel(shapeOf: ShapeOf): Answer {
  return (exchange) => {
    const shape = shapeOf(exchange);
    const id = exchange.params.model ?? "";
    return list(exchange, shape, { ids: [id] }, ({ models: [model] }) => {
      if (model !== undefined) return shape.writeModel(model);
      throw new GatewayError("model_not_found", `no model "${id.slice(0, 256)}" is configured; GET /v1/models lists what there is`);
    });
  };
}

async function list(
  exchange: Exchange,
  { name }: ModelShape,
  request: MessageInitShape<typeof ListModelsRequestSchema>,
  write: (list: ListModelsResponse) => unknown,
): Promise<void> {
  const facts = { operation: "list_models", dialect: name, clientPath: (path: string) => path } as const;
  await withCall(exchange, facts, async (call) => {
    const found = await exchange.options.operations.listModels(create(ListModelsRequestSchema, request), call);
    const headers = { ...callHeaders(call, exchange.surface), ...rateLimitHeaders(call.limits ?? []) };
    sendJson(exchange.response, 200, headers, JSON.stringify(write(found)));
  });
}
