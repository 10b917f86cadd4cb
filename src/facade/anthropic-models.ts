/** Anthropic's list of models: https://docs.anthropic.com/en/api/models-list */
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Model } from "../../gen/dragoman/v1/model_pb.ts";
import { GatewayError } from "../core/error.ts";
import type { ModelShape } from "./models.ts";
import { readPageSize } from "./page.ts";

const defaultLimit = 20;
const maxLimit = 1_000;

export const anthropicModels: ModelShape = {
  name: "anthropic-models",
  // Pages go both ways here, so they are cut from the whole list.
  readQuery: () => undefined,

  writeList({ models }, query) {
    const limit = readPageSize(query, "limit", { standard: defaultLimit, max: maxLimit });
    const after = query.get("after_id");
    const before = query.get("before_id");
    if (after !== null && before !== null) throw new GatewayError("invalid_request", "after_id and before_id exclude each other");
    let page: readonly Model[];
    let hasMore: boolean;
    if (before !== null) {
      const end = indexOf(models, before, "before_id");
      page = models.slice(Math.max(0, end - limit), end);
      hasMore = end > limit;
    } else {
      const start = after === null ? 0 : indexOf(models, after, "after_id") + 1;
      page = models.slice(start, start + limit);
      hasMore = start + limit < models.length;
    }
    return {
      data: page.map(writeModel),
      has_more: hasMore,
      first_id: page[0]?.id ?? null,
      last_id: page.at(-1)?.id ?? null,
    };
  },

  writeModel,
};

/** A time that is not known is the epoch, as Anthropic has it. */
function writeModel(model: Model): Record<string, unknown> {
  return {
    type: "model",
    id: model.id,
    display_name: model.displayName || model.id,
    created_at: new Date(model.createdAt === undefined ? 0 : timestampMs(model.createdAt)).toISOString(),
    max_input_tokens: model.maxInputTokens ?? model.contextWindow ?? null,
    max_tokens: model.maxOutputTokens ?? null,
    capabilities: null,
    retires_at: model.retiresAt === undefined ? null : new Date(timestampMs(model.retiresAt)).toISOString(),
  };
}

function indexOf(models: readonly Model[], id: string, name: string): number {
  const at = models.findIndex((model) => model.id === id);
  if (at === -1) throw new GatewayError("invalid_request", `${name}: there is no such model; start again without it`);
  return at;
}
