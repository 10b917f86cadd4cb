/** Anthropic. https://docs.claude.com/en/api */

import { ModelCapability, ModelKind, ModelModality } from "../../gen/dragoman/v1/model_pb.ts";
import { createAnthropicMessagesCodec } from "../codecs/anthropic-messages/index.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../core/json.ts";
import type { ModelListing } from "./list-models-by-http.ts";
import { arrayOf, count, createModel, type ModelPage, textOf } from "./model-list.ts";
import { createTraits, type TraitRule } from "./model-traits.ts";
import { createFromSetup, type ProviderKind, withDefaultPath } from "./provider-kind.ts";

/** https://platform.claude.com/docs/en/about-claude/models/overview and the migration guides. */
const models: readonly TraitRule[] = [
  { pattern: /^claude-/, traits: { vision: true, tools: true } },
  // Structured output came with 4.5; an unknown later model has it.
  { pattern: /^claude-(?:3|(?:opus|sonnet)-4(?:-[01])?(?:-20\d{6}|$))/, traits: { structuredOutput: false, temperatureWithTopP: true } },
  {
    pattern: /^claude-3-(?:haiku|opus|sonnet)/,
    traits: { contextWindow: 200_000, maxOutputTokens: 4_096, reasoning: "none", prefill: true },
  },
  { pattern: /^claude-3-5/, traits: { contextWindow: 200_000, maxOutputTokens: 8_192, reasoning: "none", prefill: true } },
  { pattern: /^claude-3-7/, traits: { contextWindow: 200_000, maxOutputTokens: 64_000, reasoning: "budget", prefill: true } },
  {
    pattern: /^claude-opus-4(?:-[01])?(?:-20\d{6}|$)/,
    traits: { contextWindow: 200_000, maxOutputTokens: 32_000, reasoning: "budget", prefill: true },
  },
  {
    pattern: /^claude-sonnet-4(?:-0)?(?:-20\d{6}|$)/,
    traits: { contextWindow: 200_000, maxOutputTokens: 64_000, reasoning: "budget", prefill: true },
  },
  {
    pattern: /^claude-(?:sonnet|haiku)-4-5/,
    traits: { contextWindow: 200_000, maxOutputTokens: 64_000, reasoning: "budget", prefill: true, structuredOutput: true },
  },
  {
    pattern: /^claude-opus-4-5/,
    traits: {
      contextWindow: 200_000,
      maxOutputTokens: 64_000,
      reasoning: "both",
      adaptiveReasoning: false,
      efforts: ["low", "medium", "high"],
      prefill: true,
      structuredOutput: true,
    },
  },
  // From 4.6 on a final assistant message is refused.
  {
    pattern: /^claude-opus-4-6/,
    traits: { contextWindow: 1_000_000, maxOutputTokens: 128_000, reasoning: "both", prefill: false, structuredOutput: true },
  },
  {
    pattern: /^claude-sonnet-4-6/,
    traits: { contextWindow: 1_000_000, maxOutputTokens: 64_000, reasoning: "both", prefill: false, structuredOutput: true },
  },
  // From Opus 4.7 on temperature, top_p, top_k and budgets are refused; thinking is adaptive.
  {
    pattern: /^claude-(?:opus-4-[7-9]|(?:opus|sonnet|haiku|fable|mythos)-[5-9]|mythos-preview)/,
    traits: { sampling: false, reasoning: "adaptive", prefill: false, structuredOutput: true },
  },
  { pattern: /^claude-(?:opus-4-[7-9]|(?:opus|sonnet|fable)-5)/, traits: { contextWindow: 1_000_000, maxOutputTokens: 128_000 } },
];

/** https://docs.claude.com/en/api/models-list */
const listing: ModelListing = {
  path: (cursor) => `/models?limit=1000${cursor === undefined ? "" : `&after_id=${encodeURIComponent(cursor)}`}`,
  read: readModels,
};

function readModels(body: JsonValue, provider: string): ModelPage {
  const entries = arrayOf(body, "data", provider).filter(isJsonObject);
  const read = entries.flatMap((entry) => {
    if (entry.lifecycle === "retired") return [];
    const created = Date.parse(textOf(entry.created_at));
    const model = createModel(
      {
        id: textOf(entry.id),
        ownedBy: "anthropic",
        displayName: textOf(entry.display_name),
        // The epoch stands for a date that is not known.
        createdMs: created > 0 ? created : undefined,
        kinds: [ModelKind.GENERATE],
        maxInputTokens: count(entry.max_input_tokens),
        maxOutputTokens: count(entry.max_tokens),
      },
      provider,
    );
    if (model === undefined) return [];
    if (isJsonObject(entry.capabilities)) {
      model.capabilities = readCapabilities(entry.capabilities);
      model.inputModalities = readModalities(entry.capabilities);
    }
    return [model];
  });
  const page = isJsonObject(body) ? body : {};
  const last = textOf(page.last_id) || textOf(entries.at(-1)?.id);
  return page.has_more === true && last !== "" ? { models: read, next: last } : { models: read };
}

function readCapabilities(capabilities: JsonObject): ModelCapability[] {
  const known = [
    ["thinking", ModelCapability.REASONING],
    ["structured_outputs", ModelCapability.STRUCTURED_OUTPUT],
    ["citations", ModelCapability.CITATIONS],
  ] as const;
  return [
    ModelCapability.STREAMING,
    ModelCapability.TOOLS,
    ...known.filter(([name]) => supports(capabilities, name)).map(([, capability]) => capability),
  ];
}

function readModalities(capabilities: JsonObject): ModelModality[] {
  const modalities: ModelModality[] = [ModelModality.TEXT];
  if (supports(capabilities, "image_input")) modalities.push(ModelModality.IMAGE);
  if (supports(capabilities, "pdf_input")) modalities.push(ModelModality.FILE);
  return modalities;
}

function supports(capabilities: JsonObject, name: string): boolean {
  const capability = capabilities[name];
  return isJsonObject(capability) && capability.supported === true;
}

export const anthropic: ProviderKind = {
  type: "anthropic",
  baseUrl: "https://api.anthropic.com/v1",
  keyVariables: ["ANTHROPIC_API_KEY"],
  baseUrlVariables: ["ANTHROPIC_BASE_URL"],
  needsKey: true,
  credential: { header: "x-api-key", scheme: "" },
  create: (setup) => {
    const version = setup.settings.apiVersion ?? "2023-06-01";
    return createFromSetup(setup, {
      baseUrl: withDefaultPath(setup.baseUrl, "/v1"),
      joinedHeaders: ["anthropic-beta"],
      codec: createAnthropicMessagesCodec({ path: "/messages", version, sendsEndUserId: true }),
      listing: { ...listing, headers: { "anthropic-version": version } },
      traits: createTraits(models),
      claims: (model) => /^claude-/.test(model),
    });
  },
};
