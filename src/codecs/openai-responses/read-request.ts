/** A client's Responses request, read. What is not modelled travels in extras_json at the nearest level. */
import { create } from "@bufbuild/protobuf";
import { AttributionSchema, CacheOptionsSchema, ServerStateSchema, ServiceTier } from "../../../gen/dragoman/v1/call_pb.ts";
import {
  type GenerateRequest,
  GenerateRequestSchema,
  MessageSchema,
  type OutputFormat,
  OutputFormatSchema,
  OutputKind,
  type Reasoning,
  ReasoningSchema,
  Role,
  type Sampling,
  SamplingSchema,
} from "../../../gen/dragoman/v1/generate_pb.ts";
import type { DialectRequest } from "../../core/dialect.ts";
import { describe, Fields } from "../../core/fields.ts";
import { isJsonObject, type JsonValue, type Writable, writeJson } from "../../core/json.ts";
import { efforts, serviceTiers, verbosities } from "../../core/openai-words.ts";
import { placeInInput } from "./client-path.ts";
import { makePart } from "./read-content.ts";
import { readInput } from "./read-items.ts";
import { readToolChoice, readTools } from "./read-tools.ts";
import { createRendering } from "./rendering.ts";
import { cacheTtls, displays, format, includeEncrypted, includeLogprobs } from "./wire.ts";

const maxModelLength = 256;
const maxUserLength = 256;

/** Throws invalid_request with the path of the wrong field in the client's own words. */
export function readRequest(body: JsonValue): DialectRequest {
  const fields = new Fields(body);
  const generate = create(GenerateRequestSchema, { model: readModel(fields) });
  if (fields.boolean("background")) fields.fail("background", "must be false: answers are not made in the background here");
  const instructions = fields.string("instructions");
  const { messages, places } = readInput(fields);
  generate.messages = messages;
  if (instructions !== undefined) {
    const parts = [makePart({ case: "text", value: instructions })];
    generate.messages.unshift(create(MessageSchema, { role: Role.SYSTEM, parts }));
  }
  if (!["input", "previous_response_id", "prompt", "conversation"].some((name) => fields.has(name))) {
    fields.fail("input", "is required, unless previous_response_id, conversation or prompt names one");
  }
  generate.tools = readTools(fields);
  const toolChoice = readToolChoice(fields);
  if (toolChoice !== undefined) generate.toolChoice = toolChoice;
  const include = fields.strings("include");
  const sampling = readSampling(fields, include);
  if (sampling !== undefined) generate.sampling = sampling;
  const outputFormat = readOutputFormat(fields);
  if (outputFormat !== undefined) generate.outputFormat = outputFormat;
  const reasoning = readReasoning(fields, include);
  if (reasoning !== undefined) generate.reasoning = reasoning;
  readAccount(fields, generate);
  readState(fields, generate);
  readCache(fields, generate);
  const stream = fields.boolean("stream");
  const rest = withInclude(fields.rest(), include);
  if (rest !== undefined) generate.extrasJson = { [format]: rest };
  const rendering = createRendering(isJsonObject(body) ? body : {}, instructions !== undefined, generate.reasoning);
  const allPlaces = instructions === undefined ? places : [["instructions"], ...places];
  return { generate, stream, includeUsage: true, rendering, clientPath: (path) => placeInInput(path, allPlaces) };
}

function readModel(fields: Fields): string {
  const model = fields.requiredString("model");
  if (model === "") fields.fail("model", "must not be empty");
  return model.length > maxModelLength ? fields.fail("model", `must have at most ${maxModelLength} characters`) : model;
}

function readSampling(fields: Fields, include: readonly string[] | undefined): Sampling | undefined {
  const values = {
    maxOutputTokens: fields.integer("max_output_tokens"),
    temperature: fields.number("temperature", { min: 0 }),
    topP: fields.number("top_p", { min: 0, max: 1 }),
    topLogprobs: fields.integer("top_logprobs", { min: 0, max: 20 }),
    logprobs: include?.includes(includeLogprobs) ? true : undefined,
  };
  const given = Object.entries(values).filter(([, value]) => value !== undefined);
  return given.length === 0 ? undefined : create(SamplingSchema, Object.fromEntries(given));
}

/** What is asked for beside the modelled words goes back into the extras. */
function withInclude(rest: string | undefined, include: readonly string[] | undefined): string | undefined {
  const unknown = include?.filter((word) => word !== includeEncrypted && word !== includeLogprobs) ?? [];
  if (unknown.length === 0) return rest;
  const member = `"include":${writeJson(unknown as Writable)}`;
  return rest === undefined ? `{${member}}` : `${rest.slice(0, -1)},${member}}`;
}

function readOutputFormat(fields: Fields): OutputFormat | undefined {
  const text = fields.object("text");
  if (text === undefined) return undefined;
  const output = create(OutputFormatSchema);
  const isGiven = readShape(text, output);
  const verbosity = text.knownWord("verbosity", verbosities);
  if (verbosity !== undefined) output.verbosity = verbosity;
  return isGiven || verbosity !== undefined ? output : undefined;
}

const outputKinds: Readonly<Record<string, OutputKind>> = {
  text: OutputKind.TEXT,
  json_object: OutputKind.JSON_OBJECT,
  json_schema: OutputKind.JSON_SCHEMA,
};

function readShape(text: Fields, output: OutputFormat): boolean {
  const value = text.peek("format");
  if (value === undefined) return false;
  if (!isJsonObject(value)) return text.fail("format", `must be an object, not ${describe(value)}`);
  if (typeof value.type === "string" && !Object.hasOwn(outputKinds, value.type)) return false;
  const shape = text.object("format") as Fields;
  output.kind = outputKinds[shape.requiredString("type")] ?? OutputKind.UNSPECIFIED;
  if (output.kind !== OutputKind.JSON_SCHEMA) return true;
  output.schemaJson = shape.objectText("schema") ?? shape.fail("schema", "is required");
  output.name = shape.string("name") ?? "";
  output.description = shape.string("description") ?? "";
  const strict = shape.boolean("strict");
  if (strict !== undefined) output.strict = strict;
  return true;
}

function readReasoning(fields: Fields, include: readonly string[] | undefined): Reasoning | undefined {
  const encrypted = include?.includes(includeEncrypted) ?? false;
  const given = fields.object("reasoning");
  if (given === undefined && !encrypted) return undefined;
  const reasoning = create(ReasoningSchema, encrypted ? { encrypted } : {});
  reasoning.effort = given?.knownWord("effort", efforts) ?? 0;
  // generate_summary is the older name.
  const older = given?.knownWord("generate_summary", displays);
  reasoning.display = given?.knownWord("summary", displays) ?? older ?? 0;
  reasoning.context = given?.string("context") ?? "";
  const says = encrypted || reasoning.effort !== 0 || reasoning.display !== 0 || reasoning.context !== "";
  return says ? reasoning : undefined;
}

function readAccount(fields: Fields, generate: GenerateRequest): void {
  const user = readUser(fields);
  if (user !== undefined) generate.attribution = create(AttributionSchema, { endUserId: user });
  generate.metadata = fields.stringMap("metadata") ?? {};
  generate.serviceTier = fields.knownWord("service_tier", serviceTiers) ?? ServiceTier.UNSPECIFIED;
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

function readState(fields: Fields, generate: GenerateRequest): void {
  const store = fields.boolean("store");
  const previousId = fields.string("previous_response_id");
  const conversation = isJsonObject(fields.peek("conversation"))
    ? fields.object("conversation")?.requiredString("id")
    : fields.string("conversation");
  if (previousId !== undefined && conversation !== undefined) {
    fields.fail("conversation", "must not be given together with previous_response_id");
  }
  if (store === undefined && previousId === undefined && conversation === undefined) return;
  generate.serverState = create(ServerStateSchema, {
    previousId: previousId ?? "",
    conversationId: conversation ?? "",
    ...(store === undefined ? {} : { store }),
  });
}

function readCache(fields: Fields, generate: GenerateRequest): void {
  const key = fields.string("prompt_cache_key");
  const ttlSeconds = fields.object("prompt_cache_options")?.knownWord("ttl", cacheTtls);
  if (key === undefined && ttlSeconds === undefined) return;
  generate.cache = create(CacheOptionsSchema, { key: key ?? "", ...(ttlSeconds === undefined ? {} : { ttlSeconds }) });
}
