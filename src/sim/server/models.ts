/** Lists of models, in each vendor's form. */

import { listedModels, modelsCreated } from "../model-list.ts";
import { behaviourOf } from "../model-name.ts";
import type { JsonObject } from "../shape.ts";
import { refuse as refuseAnthropic } from "./anthropic/vendor.ts";
import { refuseModel as refuseCohere } from "./cohere/vendor.ts";
import { refuseModel as refuseGemini } from "./gemini/vendor.ts";
import { refuseModel as refuseOpenai } from "./openai/vendor.ts";

const createdAt = new Date(modelsCreated * 1000).toISOString();

/** One model where `id` is not empty. Throws Refusal. */
export function openaiModels(id: string): JsonObject {
  if (id === "") return { object: "list", data: listedModels.map((model) => openaiModel(model.id)) };
  return behaviourOf(id).kind === "missing" ? refuseOpenai(id) : openaiModel(id);
}

/** Paged by `limit` and `after_id`. */
export function anthropicModels(id: string, query: URLSearchParams): JsonObject {
  if (id !== "") return behaviourOf(id).kind === "missing" ? refuseAnthropic(`model: ${id}`, 404) : anthropicModel(id);
  const limit = Number(query.get("limit") ?? 20);
  if (!(limit >= 1 && limit <= 1000)) refuseAnthropic("limit: Input should be from 1 to 1000");
  const ids = listedModels.filter(({ embeds }) => !embeds).map((model) => model.id);
  const start = query.has("after_id") ? ids.indexOf(String(query.get("after_id"))) + 1 : 0;
  const page = ids.slice(start, start + limit);
  return { data: page.map(anthropicModel), has_more: start + limit < ids.length, first_id: page[0] ?? null, last_id: page.at(-1) ?? null };
}

/** Paged by `pageSize` and `pageToken`. */
export function geminiModels(id: string, query: URLSearchParams): JsonObject {
  if (id !== "") return behaviourOf(id).kind === "missing" ? refuseGemini(id, "getModel") : geminiModel(id);
  const size = Math.min(Math.max(Number(query.get("pageSize") ?? 50), 1), 1000);
  const start = Number(query.get("pageToken") ?? 0) || 0;
  const page = listedModels.slice(start, start + size);
  const next = start + size < listedModels.length ? { nextPageToken: String(start + size) } : {};
  return { models: page.map((model) => geminiModel(model.id)), ...next };
}

/** Paged by `page_size` and `page_token`. */
export function cohereModels(id: string, query: URLSearchParams): JsonObject {
  if (id !== "") return behaviourOf(id).kind === "missing" ? refuseCohere(id) : cohereModel(id);
  const size = Math.min(Math.max(Number(query.get("page_size") ?? 20), 1), 1000);
  const start = Number(query.get("page_token") ?? 0) || 0;
  const page = listedModels.slice(start, start + size);
  const next = start + size < listedModels.length ? { next_page_token: String(start + size) } : {};
  return { models: page.map((model) => cohereModel(model.id)), ...next };
}

function cohereModel(id: string): JsonObject {
  const embeds = behaviourOf(id).kind === "embed";
  return {
    name: id,
    is_deprecated: false,
    endpoints: [embeds ? "embed" : "chat"],
    finetuned: false,
    context_length: 1_000_000,
    tokenizer_url: null,
    default_endpoints: [],
    features: embeds ? null : ["tools", "json_mode", "json_schema", "logprobs", "reasoning"],
  };
}

function openaiModel(id: string): JsonObject {
  return { id, object: "model", created: modelsCreated, owned_by: "sim" };
}

function anthropicModel(id: string): JsonObject {
  return { type: "model", id, display_name: `Simulated: ${id}`, created_at: createdAt, max_input_tokens: 1_000_000, max_tokens: 128_000 };
}

function geminiModel(id: string): JsonObject {
  const embeds = behaviourOf(id).kind === "embed";
  return {
    name: `models/${id}`,
    version: "001",
    displayName: `Simulated: ${id}`,
    description: "Simulated model",
    inputTokenLimit: 1_000_000,
    outputTokenLimit: 128_000,
    supportedGenerationMethods: embeds ? ["embedContent"] : ["generateContent", "streamGenerateContent", "countTokens"],
  };
}
