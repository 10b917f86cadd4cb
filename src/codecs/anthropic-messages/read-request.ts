/** A client's messages request, read. What is not modelled travels in extras_json at the nearest level. */
import { create } from "@bufbuild/protobuf";
import { AttributionSchema, type CacheMarker, CacheOptionsSchema, ServiceTier } from "../../../gen/dragoman/v1/call_pb.ts";
import {
  type GenerateRequest,
  GenerateRequestSchema,
  type Message,
  MessageSchema,
  Role,
  type Sampling,
  SamplingSchema,
} from "../../../gen/dragoman/v1/generate_pb.ts";
import type { DialectRequest, RequestFacts } from "../../core/dialect.ts";
import { invalidField } from "../../core/error.ts";
import { Fields } from "../../core/fields.ts";
import { type JsonObject, type JsonValue, mergeExtras, type WritableObject, writeJson } from "../../core/json.ts";
import { createClientPath } from "./client-path.ts";
import { readCacheControl } from "./read-cache-control.ts";
import { readContent } from "./read-content.ts";
import { readOutput } from "./read-reasoning.ts";
import { readToolChoice, readTools } from "./read-tools.ts";
import { refuseThread } from "./threads.ts";
import { betasHeader, betasMember, formatName } from "./wire.ts";

const maxModelLength = 256;
const maxUserLength = 256;

const roles: Readonly<Record<string, Role>> = { user: Role.USER, assistant: Role.ASSISTANT, system: Role.SYSTEM };
const tiers: Readonly<Record<string, ServiceTier>> = { auto: ServiceTier.AUTO, standard_only: ServiceTier.STANDARD };

/**
 * Throws invalid_request with the path of the wrong field in the client's own words. `max_tokens` may be absent: the target's
 * own limit is filled in then.
 */
export function readRequest(body: JsonValue, facts: RequestFacts): DialectRequest {
  const fields = new Fields(body);
  refuseThread(fields);
  const generate = create(GenerateRequestSchema, { model: readModel(fields) });
  generate.messages = [...readSystem(fields), ...readMessages(fields)];
  generate.tools = readTools(fields);
  const toolChoice = readToolChoice(fields);
  if (toolChoice !== undefined) generate.toolChoice = toolChoice;
  const sampling = readSampling(fields);
  if (sampling !== undefined) generate.sampling = sampling;
  const { reasoning, format } = readOutput(fields);
  if (reasoning !== undefined) generate.reasoning = reasoning;
  if (format !== undefined) generate.outputFormat = format;
  readAccount(fields, generate);
  const cache = readCacheControl(fields);
  if (cache !== undefined) generate.cache = create(CacheOptionsSchema, { automatic: true, ...ttlOf(cache) });
  const stream = fields.boolean("stream");
  const betas = readBetas(fields, facts);
  generate.extrasJson = fields.extras(formatName);
  if (betas.length > 0) generate.extrasJson[formatName] = withBetas(generate.extrasJson[formatName], betas);
  return { generate, stream, includeUsage: true, clientPath: createClientPath(body as JsonObject) };
}

function readModel(fields: Fields): string {
  const model = fields.requiredString("model");
  if (model === "") fields.fail("model", "must not be empty");
  return model.length > maxModelLength ? fields.fail("model", `must have at most ${maxModelLength} characters`) : model;
}

/** One message, its blocks as parts; none where there are no blocks. */
function readSystem(fields: Fields): Message[] {
  const parts = readContent(fields, "system");
  return parts.length === 0 ? [] : [create(MessageSchema, { role: Role.SYSTEM, parts })];
}

function readMessages(fields: Fields): Message[] {
  const messages = fields.objects("messages") ?? fields.fail("messages", "is required");
  if (messages.length === 0) fields.fail("messages", "must not be empty");
  return messages.map(readMessage);
}

function readMessage(fields: Fields): Message {
  const name = fields.word("role", Object.keys(roles)) ?? fields.fail("role", "is required");
  if (!fields.has("content")) fields.fail("content", "is required");
  const message = create(MessageSchema, { role: roles[name] ?? Role.UNSPECIFIED, parts: readContent(fields, "content") });
  const last = message.parts.at(-1);
  if (last !== undefined && last.cache === undefined) {
    // A marker on the message counts for its last part (contract.md 3.2, cache).
    const cache = readCacheControl(fields);
    if (cache !== undefined) last.cache = cache;
  }
  message.extrasJson = fields.extras(formatName);
  return message;
}

function readSampling(fields: Fields): Sampling | undefined {
  const values = {
    maxOutputTokens: fields.integer("max_tokens"),
    temperature: fields.number("temperature", { min: 0 }),
    topP: fields.number("top_p", { min: 0, max: 1 }),
    topK: fields.integer("top_k"),
    stop: readStop(fields),
  };
  const given = Object.entries(values).filter(([, value]) => value !== undefined);
  return given.length === 0 ? undefined : create(SamplingSchema, Object.fromEntries(given));
}

function readStop(fields: Fields): string[] | undefined {
  const stops = fields.strings("stop_sequences");
  const empty = stops?.indexOf("") ?? -1;
  if (empty !== -1) throw invalidField(`${fields.pathOf("stop_sequences")}[${empty}]`, "must not be empty");
  return stops;
}

function readAccount(fields: Fields, generate: GenerateRequest): void {
  const metadata = fields.object("metadata");
  const user = metadata?.string("user_id");
  if (metadata !== undefined && user !== undefined) {
    if (user.length > maxUserLength) metadata.fail("user_id", `must have at most ${maxUserLength} characters`);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: what is refused are exactly these
    if (/[\x00-\x1f\x7f]/.test(user)) metadata.fail("user_id", "must not have control characters");
    if (user !== "") generate.attribution = create(AttributionSchema, { endUserId: user });
  }
  // Where both are given, the tier stays unread and comes back for the same format.
  const fast = fields.knownWord("speed", { fast: ServiceTier.FAST });
  generate.serviceTier = fast ?? fields.knownWord("service_tier", tiers) ?? ServiceTier.UNSPECIFIED;
}

function ttlOf({ ttlSeconds }: CacheMarker): { ttlSeconds?: number } {
  return ttlSeconds === undefined ? {} : { ttlSeconds };
}

/** Of the header, and of the body, where the SDKs' parameter of this name ends up with clients that are none. */
function readBetas(fields: Fields, facts: RequestFacts): string[] {
  const named = (facts.header?.(betasHeader) ?? "").split(",").map((beta) => beta.trim());
  return [...new Set([...named, ...(fields.strings(betasMember) ?? [])])].filter((beta) => beta !== "");
}

function withBetas(extras: string | undefined, betas: readonly string[]): string {
  const members: WritableObject = { [betasMember]: betas };
  mergeExtras(members, extras);
  return writeJson(members);
}
