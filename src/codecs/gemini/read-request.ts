/** A client's request for an answer, read. The path says the model and whether to stream. */
import { create } from "@bufbuild/protobuf";
import { CacheOptionsSchema, ServerStateSchema, ServiceTier } from "../../../gen/dragoman/v1/call_pb.ts";
import { type GenerateRequest, GenerateRequestSchema } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { DialectRequest, RequestFacts } from "../../core/dialect.ts";
import { Fields } from "../../core/fields.ts";
import type { JsonValue } from "../../core/json.ts";
import { createClientPath, type Layout } from "./client-path.ts";
import { readProtoNames } from "./proto-json.ts";
import { readGenerationConfig } from "./read-config.ts";
import { readMessages } from "./read-contents.ts";
import { readToolChoice, readTools } from "./read-tools.ts";
import { byWord, formatName, serviceTiers } from "./wire.ts";

/** How a stream is framed: as server-sent events, or as the elements of one JSON array. */
export type Framing = "sse" | "array";

const maxModelLength = 256;
const tiers = byWord(serviceTiers);

/** Throws invalid_request with the path of the wrong field in camel case. */
export function readRequest(body: JsonValue, facts: RequestFacts): DialectRequest {
  const { generate, layout } = readGenerate(new Fields(readProtoNames(body)), facts);
  const framing: Framing = facts.query?.get("alt") === "sse" ? "sse" : "array";
  return {
    generate,
    stream: facts.stream ?? false,
    includeUsage: true,
    rendering: framing,
    clientPath: createClientPath(layout),
  };
}

/** The request in `fields`, whose names are in camel case. */
export function readGenerate(fields: Fields, facts: RequestFacts): { readonly generate: GenerateRequest; readonly layout: Layout } {
  const messages = readMessages(fields);
  const tools = readTools(fields);
  const toolChoice = readToolChoice(fields);
  const generate = create(GenerateRequestSchema, {
    model: readModel(fields, facts),
    messages: messages.map(({ message }) => message),
    tools: tools.map(({ tool }) => tool),
    ...(toolChoice && { toolChoice }),
    ...readGenerationConfig(fields),
    metadata: fields.stringMap("labels") ?? {},
    serviceTier: fields.knownWord("serviceTier", tiers) ?? ServiceTier.UNSPECIFIED,
  });
  const contentId = fields.string("cachedContent");
  if (contentId !== undefined && contentId !== "") generate.cache = create(CacheOptionsSchema, { contentId });
  const store = fields.boolean("store");
  if (store !== undefined) generate.serverState = create(ServerStateSchema, { store });
  generate.extrasJson = fields.extras(formatName);
  return { generate, layout: { contents: messages, tools: tools.map(({ path }) => path) } };
}

/** The path's model; the body's where the path has none. */
export function readModel(fields: Fields, facts: RequestFacts): string {
  const named = fields.string("model")?.replace(/^models\//, "");
  const model = facts.model ?? named ?? fields.fail("model", "is required");
  if (model === "") fields.fail("model", "must not be empty");
  return model.length > maxModelLength ? fields.fail("model", `must have at most ${maxModelLength} characters`) : model;
}
