/** Lists of models as vendors give them, read into ours. Ids that could not be named in a request are left out. */
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Model, ModelKind, ModelSchema } from "../../gen/dragoman/v1/model_pb.ts";
import { GatewayError } from "../core/error.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../core/json.ts";

export interface ModelPage {
  readonly models: Model[];
  /** What to ask for next; absent on the last page. */
  readonly next?: string;
}

/** What an answer says of one model. */
export interface ModelFacts {
  readonly id: string;
  readonly ownedBy?: string | undefined;
  readonly displayName?: string | undefined;
  readonly description?: string | undefined;
  /** Milliseconds since 1970. */
  readonly createdMs?: number | undefined;
  readonly kinds?: readonly ModelKind[] | undefined;
  readonly contextWindow?: number | undefined;
  readonly maxInputTokens?: number | undefined;
  readonly maxOutputTokens?: number | undefined;
}

const idShape = /^[\x21-\x7e]{1,256}$/;

/** Undefined where the id cannot be used. */
export function createModel(facts: ModelFacts, provider: string): Model | undefined {
  if (!idShape.test(facts.id)) return undefined;
  return create(ModelSchema, {
    id: facts.id,
    displayName: facts.displayName ?? "",
    description: facts.description ?? "",
    ownedBy: facts.ownedBy || provider,
    kinds: [...(facts.kinds ?? kindsByName(facts.id))],
    providers: [provider],
    available: true,
    ...(facts.createdMs === undefined ? {} : { createdAt: timestampFromMs(facts.createdMs) }),
    ...(facts.contextWindow === undefined ? {} : { contextWindow: facts.contextWindow }),
    ...(facts.maxInputTokens === undefined ? {} : { maxInputTokens: facts.maxInputTokens }),
    ...(facts.maxOutputTokens === undefined ? {} : { maxOutputTokens: facts.maxOutputTokens }),
  });
}

/** `{data: [{id, created, owned_by}]}`; also a bare array, as Together answers. Further members by several vendors. */
export function readOpenAiModels(body: JsonValue, provider: string): ModelPage {
  const entries = Array.isArray(body) ? body : arrayOf(body, "data", provider);
  const models = entries.filter(isJsonObject).flatMap((entry) => {
    const seconds = count(entry.created);
    const model = createModel(
      {
        id: textOf(entry.id),
        ownedBy: textOf(entry.owned_by) || textOf(entry.organization),
        displayName: textOf(entry.display_name) || textOf(entry.name),
        description: textOf(entry.description),
        createdMs: seconds === undefined || seconds === 0 ? undefined : seconds * 1_000,
        kinds: kindsByType(textOf(entry.type)),
        contextWindow:
          count(entry.context_window) ?? count(entry.context_length) ?? count(entry.max_model_len) ?? count(entry.max_context_length),
        maxOutputTokens: count(entry.max_completion_tokens) ?? count(entry.max_output_tokens) ?? topProviderOutput(entry),
      },
      provider,
    );
    return model === undefined ? [] : [model];
  });
  return { models };
}

/** OpenRouter keeps the output limit one level down. */
function topProviderOutput(entry: JsonObject): number | undefined {
  return isJsonObject(entry.top_provider) ? count(entry.top_provider.max_completion_tokens) : undefined;
}

/** Together's and LM Studio's word for what a model is. */
function kindsByType(type: string): ModelKind[] | undefined {
  if (type === "embedding" || type === "embeddings") return [ModelKind.EMBED];
  if (type === "rerank") return [ModelKind.RERANK];
  if (type === "moderation") return [ModelKind.MODERATE];
  if (type === "image") return [ModelKind.IMAGE];
  if (type === "audio") return [ModelKind.SYNTHESIZE];
  if (type === "transcribe") return [ModelKind.TRANSCRIBE];
  return undefined;
}

/** Most lists do not say what a model is for; its name does. Names of several vendors. */
const kindPatterns: readonly (readonly [RegExp, ModelKind])[] = [
  [/rerank/, ModelKind.RERANK],
  [/embed|^bge-|\/bge-|^e5-|\/e5-|\/gte-|^gte-|all-minilm/, ModelKind.EMBED],
  [/moderation/, ModelKind.MODERATE],
  [/^dall-e|^gpt-image|^chatgpt-image|^imagen|stable-diffusion|\/flux|^flux|^sora/, ModelKind.IMAGE],
  [/whisper|transcribe/, ModelKind.TRANSCRIBE],
  [/^tts-|-tts\b|-tts-/, ModelKind.SYNTHESIZE],
];

function kindsByName(id: string): ModelKind[] {
  const name = id.toLowerCase();
  return [kindPatterns.find(([pattern]) => pattern.test(name))?.[1] ?? ModelKind.GENERATE];
}

/** Throws provider_error where the body is no object with this array. */
export function arrayOf(body: JsonValue, name: string, provider: string): JsonValue[] {
  const list = isJsonObject(body) ? body[name] : undefined;
  if (Array.isArray(list)) return list;
  throw new GatewayError("provider_error", `${provider} answered with something that is no list of models`);
}

export function textOf(value: JsonValue | undefined): string {
  return typeof value === "string" ? value.slice(0, 1_024) : "";
}

/** A whole number that fits into a uint32 and means something. */
export function count(value: JsonValue | undefined): number | undefined {
  return typeof value === "number" && Number.isFinite(value) && value > 0 && value <= 0xffff_ffff ? Math.floor(value) : undefined;
}
