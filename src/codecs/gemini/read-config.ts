/** `generationConfig`: sampling, the shape of the output, thinking. What is not modelled stays unread. */
import { create } from "@bufbuild/protobuf";
import {
  type OutputFormat,
  OutputFormatSchema,
  OutputKind,
  type Reasoning,
  ReasoningDisplay,
  ReasoningMode,
  ReasoningSchema,
  type Sampling,
  SamplingSchema,
} from "../../../gen/dragoman/v1/generate_pb.ts";
import { invalidField } from "../../core/error.ts";
import type { Fields } from "../../core/fields.ts";
import { readSchema } from "./read-tools.ts";
import { modalities, thinkingLevels } from "./wire.ts";

export interface ReadConfig {
  readonly sampling?: Sampling;
  readonly outputFormat?: OutputFormat;
  readonly reasoning?: Reasoning;
}

export function readGenerationConfig(body: Fields): ReadConfig {
  const config = body.object("generationConfig");
  if (config === undefined) return {};
  const sampling = readSampling(config);
  const outputFormat = readOutputFormat(config);
  const reasoning = readThinking(config);
  return { ...(sampling && { sampling }), ...(outputFormat && { outputFormat }), ...(reasoning && { reasoning }) };
}

function readSampling(config: Fields): Sampling | undefined {
  const values = {
    temperature: config.number("temperature", { min: 0 }),
    topP: config.number("topP", { min: 0, max: 1 }),
    topK: config.integer("topK"),
    maxOutputTokens: config.integer("maxOutputTokens"),
    stop: readStop(config),
    seed: config.integer64("seed"),
    candidateCount: config.integer("candidateCount", { min: 1, max: 128 }),
    frequencyPenalty: config.number("frequencyPenalty"),
    presencePenalty: config.number("presencePenalty"),
    logprobs: config.boolean("responseLogprobs"),
    topLogprobs: config.integer("logprobs", { min: 0, max: 20 }),
  };
  const given = Object.entries(values).filter(([, value]) => value !== undefined);
  return given.length === 0 ? undefined : create(SamplingSchema, Object.fromEntries(given));
}

function readStop(config: Fields): string[] | undefined {
  const stops = config.strings("stopSequences");
  const empty = stops?.indexOf("") ?? -1;
  if (empty !== -1) throw invalidField(`${config.pathOf("stopSequences")}[${empty}]`, "must not be empty");
  return stops;
}

function readOutputFormat(config: Fields): OutputFormat | undefined {
  const output = create(OutputFormatSchema);
  const isShaped = readShape(config, output);
  const kinds = readModalities(config);
  if (kinds !== undefined) output.modalities = kinds;
  const voice = readVoice(config);
  if (voice !== undefined) output.audio = { $typeName: "dragoman.v1.AudioOutput", voice, format: "" };
  return isShaped || kinds !== undefined || voice !== undefined ? output : undefined;
}

/** Media types other than JSON and plain text, and their schemas, are Gemini's alone. */
function readShape(config: Fields, output: OutputFormat): boolean {
  const mimeType = config.peek("responseMimeType");
  const isJson = mimeType === "application/json";
  if (typeof mimeType === "string" && !isJson && mimeType !== "text/plain" && mimeType !== "") return false;
  config.string("responseMimeType");
  const schemaJson = readSchema(config, config.has("_responseJsonSchema") ? "_responseJsonSchema" : "responseJsonSchema", "responseSchema");
  if (schemaJson !== "") {
    output.kind = OutputKind.JSON_SCHEMA;
    output.schemaJson = schemaJson;
  } else if (isJson) output.kind = OutputKind.JSON_OBJECT;
  else if (mimeType === "text/plain") output.kind = OutputKind.TEXT;
  return output.kind !== OutputKind.UNSPECIFIED;
}

/** Undefined, and left to extras, where a kind of content is not known here. */
function readModalities(config: Fields): OutputFormat["modalities"] | undefined {
  const words = config.peek("responseModalities");
  if (!Array.isArray(words) || words.some((word) => typeof word !== "string" || !Object.hasOwn(modalities, word))) return undefined;
  const read = config.strings("responseModalities")?.flatMap((word) => modalities[word] ?? []);
  return read === undefined || read.length === 0 ? undefined : [...new Set(read)];
}

function readVoice(config: Fields): string | undefined {
  return config.object("speechConfig")?.object("voiceConfig")?.object("prebuiltVoiceConfig")?.string("voiceName");
}

/** https://ai.google.dev/gemini-api/docs/thinking: a budget of 0 is off, -1 leaves it to the model. */
function readThinking(config: Fields): Reasoning | undefined {
  const thinking = config.object("thinkingConfig");
  if (thinking === undefined) return undefined;
  const budget = thinking.integer("thinkingBudget", { min: -1, max: 0xffff_ffff });
  const effort = thinking.knownWord("thinkingLevel", thinkingLevels);
  const shown = thinking.boolean("includeThoughts");
  if (budget === undefined && effort === undefined && shown === undefined) return undefined;
  const reasoning = create(ReasoningSchema);
  if (budget === 0) reasoning.mode = ReasoningMode.DISABLED;
  else if (budget === -1) reasoning.mode = ReasoningMode.ADAPTIVE;
  else if (budget !== undefined) reasoning.budgetTokens = budget;
  if (effort !== undefined) reasoning.effort = effort;
  if (shown !== undefined) reasoning.display = shown ? ReasoningDisplay.SUMMARY : ReasoningDisplay.OMITTED;
  return reasoning;
}
