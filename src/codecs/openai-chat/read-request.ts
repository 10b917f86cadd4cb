/** A client's chat completion request, read. What is not modelled travels in extras_json at the nearest level. */
import { create } from "@bufbuild/protobuf";
import { AttributionSchema, CacheOptionsSchema, ServerStateSchema, ServiceTier } from "../../../gen/dragoman/v1/call_pb.ts";
import {
  type GenerateRequest,
  Modality,
  type OutputFormat,
  OutputFormatSchema,
  OutputKind,
  ReasoningSchema,
  type Sampling,
} from "../../../gen/dragoman/v1/generate_pb.ts";
import type { DialectRequest } from "../../core/dialect.ts";
import { invalidField } from "../../core/error.ts";
import { describe, Fields } from "../../core/fields.ts";
import { isJsonObject, type JsonValue } from "../../core/json.ts";
import { newGenerateRequest } from "../../core/new-message.ts";
import { efforts, serviceTiers, verbosities } from "../../core/openai-words.ts";
import { readCacheMarker } from "./read-content.ts";
import { type FunctionCallIds, readMessage } from "./read-message.ts";
import { readToolChoice, readTools } from "./read-tools.ts";
import { format, modalities } from "./wire.ts";

const maxModelLength = 256;
const maxUserLength = 256;
const cacheTtls = { "30m": 1800 } as const;

/** Throws invalid_request with the path of the wrong field in the client's own words. */
export function readRequest(body: JsonValue): DialectRequest {
  const fields = new Fields(body);
  const generate = newGenerateRequest(readModel(fields));
  generate.messages = readMessages(fields);
  generate.tools = readTools(fields);
  const toolChoice = readToolChoice(fields);
  if (toolChoice !== undefined) generate.toolChoice = toolChoice;
  const sampling = readSampling(fields);
  if (sampling !== undefined) generate.sampling = sampling;
  const outputFormat = readOutputFormat(fields);
  if (outputFormat !== undefined) generate.outputFormat = outputFormat;
  const effort = fields.knownWord("reasoning_effort", efforts);
  if (effort !== undefined) generate.reasoning = create(ReasoningSchema, { effort });
  readAccount(fields, generate);
  readCache(fields, generate);
  const stream = fields.boolean("stream");
  const includeUsage = fields.object("stream_options")?.boolean("include_usage") ?? false;
  generate.extrasJson = fields.extras(format);
  return { generate, stream, includeUsage };
}

function readModel(fields: Fields): string {
  const model = fields.requiredString("model");
  if (model === "") fields.fail("model", "must not be empty");
  return model.length > maxModelLength ? fields.fail("model", `must have at most ${maxModelLength} characters`) : model;
}

function readMessages(fields: Fields): GenerateRequest["messages"] {
  const messages = fields.array("messages") ?? fields.fail("messages", "is required");
  if (messages.length === 0) fields.fail("messages", "must not be empty");
  const functionCalls: FunctionCallIds = new Map();
  return messages.map((message, index) => readMessage(message, index, functionCalls));
}

function readSampling(fields: Fields): Sampling | undefined {
  // Both names of the output limit are read, so that neither is unknown; the newer one wins.
  const oldLimit = fields.integer("max_tokens");
  let given: Sampling | undefined;
  put("maxOutputTokens", fields.integer("max_completion_tokens") ?? oldLimit);
  put("temperature", fields.number("temperature", atLeastZero));
  put("topP", fields.number("top_p", share));
  put("topK", readTopK(fields));
  put("stop", readStop(fields));
  put("seed", fields.integer64("seed"));
  put("candidateCount", fields.integer("n", candidates));
  put("frequencyPenalty", fields.number("frequency_penalty"));
  put("presencePenalty", fields.number("presence_penalty"));
  put("logprobs", fields.boolean("logprobs"));
  put("topLogprobs", fields.integer("top_logprobs", alternatives));
  put("logitBias", readLogitBias(fields));
  put("minP", fields.number("min_p", share));
  put("repetitionPenalty", fields.number("repetition_penalty", aboveZero));
  return given;

  function put<Name extends keyof Sampling>(name: Name, value: Sampling[Name] | undefined): void {
    if (value === undefined) return;
    given ??= { $typeName: "dragoman.v1.Sampling", stop: [], logitBias: {} };
    given[name] = value;
  }
}

const atLeastZero = { min: 0 };
const aboveZero = { min: Number.MIN_VALUE };
const share = { min: 0, max: 1 };
const candidates = { min: 1, max: 128 };
const alternatives = { min: 0, max: 20 };

/** Servers that take top_k write "off" as -1; that stays theirs. */
function readTopK(fields: Fields): number | undefined {
  const value = fields.peek("top_k");
  return typeof value === "number" && value < 0 ? undefined : fields.integer("top_k");
}

function readStop(fields: Fields): string[] | undefined {
  if (typeof fields.peek("stop") === "string") {
    const stop = fields.requiredString("stop");
    return stop === "" ? fields.fail("stop", "must not be empty") : [stop];
  }
  const stops = fields.strings("stop");
  const empty = stops?.indexOf("") ?? -1;
  if (empty !== -1) throw invalidField(`${fields.pathOf("stop")}[${empty}]`, "must not be empty");
  return stops;
}

function readLogitBias(fields: Fields): Record<number, number> | undefined {
  const bias = fields.object("logit_bias");
  if (bias === undefined) return undefined;
  const read: Record<number, number> = {};
  for (const token of bias.unread()) {
    if (!/^\d{1,10}$/.test(token) || Number(token) > 0xffff_ffff) bias.fail(token, "must be a token id, a whole number");
    read[Number(token)] = bias.number(token) ?? bias.fail(token, "must be a number");
  }
  return read;
}

const outputFields = ["response_format", "verbosity", "modalities", "audio"] as const;

function readOutputFormat(fields: Fields): OutputFormat | undefined {
  // Most requests ask for no form at all, and must not pay for one.
  if (!outputFields.some((name) => fields.has(name))) return undefined;
  const output = create(OutputFormatSchema);
  let isGiven = readResponseFormat(fields, output);
  const verbosity = fields.knownWord("verbosity", verbosities);
  if (verbosity !== undefined) {
    output.verbosity = verbosity;
    isGiven = true;
  }
  const kinds = readModalities(fields);
  if (kinds !== undefined) {
    output.modalities = kinds;
    isGiven = true;
  }
  const audio = fields.object("audio");
  if (audio !== undefined) {
    // A voice of one's own is named by {id}.
    const voice = isJsonObject(audio.peek("voice")) ? audio.object("voice")?.string("id") : audio.string("voice");
    output.audio = { $typeName: "dragoman.v1.AudioOutput", voice: voice ?? "", format: audio.string("format") ?? "" };
    isGiven = true;
  }
  return isGiven ? output : undefined;
}

/** Undefined, and left to extras, where a kind of content is not known here. */
function readModalities(fields: Fields): Modality[] | undefined {
  const value = fields.peek("modalities");
  if (Array.isArray(value) && value.some((word) => typeof word === "string" && !Object.hasOwn(modalities, word))) return undefined;
  const read = fields.strings("modalities")?.map((word) => modalities[word] ?? Modality.UNSPECIFIED);
  return read === undefined ? undefined : [...new Set(read)];
}

function readResponseFormat(fields: Fields, output: OutputFormat): boolean {
  const value = fields.peek("response_format");
  if (value === undefined) return false;
  if (!isJsonObject(value)) return fields.fail("response_format", `must be an object, not ${describe(value)}`);
  const kinds = { text: OutputKind.TEXT, json_object: OutputKind.JSON_OBJECT, json_schema: OutputKind.JSON_SCHEMA } as const;
  const { type } = value;
  if (typeof type === "string" && !Object.hasOwn(kinds, type)) return false;
  const shape = fields.object("response_format") as Fields;
  output.kind = kinds[shape.requiredString("type") as keyof typeof kinds];
  if (output.kind === OutputKind.JSON_SCHEMA) {
    const schema = shape.object("json_schema") ?? shape.fail("json_schema", "is required");
    output.schemaJson = schema.objectText("schema") ?? "";
    output.name = schema.string("name") ?? "";
    output.description = schema.string("description") ?? "";
    const strict = schema.boolean("strict");
    if (strict !== undefined) output.strict = strict;
  }
  return true;
}

function readAccount(fields: Fields, generate: GenerateRequest): void {
  const user = readUser(fields);
  if (user !== undefined) generate.attribution = create(AttributionSchema, { endUserId: user });
  generate.metadata = fields.stringMap("metadata") ?? {};
  generate.serviceTier = fields.knownWord("service_tier", serviceTiers) ?? ServiceTier.UNSPECIFIED;
  const store = fields.boolean("store");
  if (store !== undefined) generate.serverState = create(ServerStateSchema, { store });
}

/** `safety_identifier` is the newer name of `user`; both are read, so that neither goes upstream as an unknown field. */
function readUser(fields: Fields): string | undefined {
  let user: string | undefined;
  for (const name of ["safety_identifier", "user"]) {
    const value = fields.string(name);
    if (value === undefined) continue;
    if (value.length > maxUserLength) fields.fail(name, `must have at most ${maxUserLength} characters`);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: what is refused are exactly these
    if (/[\x00-\x1f\x7f]/.test(value)) fields.fail(name, "must not have control characters");
    user ??= value;
  }
  return user;
}

function readCache(fields: Fields, generate: GenerateRequest): void {
  const key = fields.string("prompt_cache_key");
  const ttlSeconds = fields.object("prompt_cache_options")?.knownWord("ttl", cacheTtls);
  // Anthropic's top-level marker, as gateways take it on Chat.
  const marker = readCacheMarker(fields);
  if (key === undefined && ttlSeconds === undefined && marker === undefined) return;
  const ttl = ttlSeconds ?? marker?.ttlSeconds;
  generate.cache = create(CacheOptionsSchema, {
    key: key ?? "",
    automatic: marker !== undefined,
    ...(ttl === undefined ? {} : { ttlSeconds: ttl }),
  });
}
