/** `generationConfig`: sampling, the shape of the output, thinking. */
import {
  type AudioOutput,
  type GenerateRequest,
  Modality,
  OutputKind,
  type Sampling,
  Verbosity,
} from "../../../gen/dragoman/v1/generate_pb.ts";
import type { WritableObject } from "../../core/json.ts";
import { maxStopSequences } from "./wire.ts";
import type { WriteContext } from "./write-context.ts";
import { writeThinking } from "./write-thinking.ts";
import { writeSchema } from "./write-tools.ts";

export interface WrittenConfig {
  readonly config: WritableObject;
  /** What the model must be told in words, because it has no setting for it. */
  readonly instruction?: string;
}

export function writeGenerationConfig(request: GenerateRequest, context: WriteContext): WrittenConfig {
  const config: WritableObject = {};
  if (request.sampling !== undefined) writeSampling(request.sampling, config, context);
  const instruction = writeOutputFormat(request, config, context);
  config.thinkingConfig = writeThinking(request.reasoning, context);
  return instruction === undefined ? { config } : { config, instruction };
}

/** https://ai.google.dev/api/generate-content#generationconfig */
function writeSampling(sampling: Sampling, config: WritableObject, context: WriteContext): void {
  const { report } = context;
  const clamped = (name: string, value: number | undefined, min: number, max: number) => {
    if (value === undefined || (value >= min && value <= max)) return value;
    const near = value < min ? min : max;
    report.coerced(`sampling.${name}`, String(near));
    return near;
  };
  if (context.target.traits.sampling === false) reportSampling(sampling, context);
  else {
    config.temperature = clamped("temperature", sampling.temperature, 0, 2);
    config.topP = sampling.topP;
    config.topK = sampling.topK;
  }
  config.maxOutputTokens = sampling.maxOutputTokens;
  config.frequencyPenalty = clamped("frequency_penalty", sampling.frequencyPenalty, -2, 2);
  config.presencePenalty = clamped("presence_penalty", sampling.presencePenalty, -2, 2);
  writeStop(sampling, config, context);
  writeSeed(sampling, config, context);
  if (sampling.candidateCount !== undefined && sampling.candidateCount > 1) config.candidateCount = sampling.candidateCount;
  writeLogprobs(sampling, config);
  if (Object.keys(sampling.logitBias).length > 0) report.dropped("sampling.logit_bias", "tokens cannot be biased");
  if (sampling.minP !== undefined) report.dropped("sampling.min_p", "has no equal");
  if (sampling.repetitionPenalty !== undefined) report.dropped("sampling.repetition_penalty", "has no equal");
}

function reportSampling({ temperature, topP, topK }: Sampling, { report }: WriteContext): void {
  const detail = "the model samples in its own way";
  if (temperature !== undefined) report.dropped("sampling.temperature", detail);
  if (topP !== undefined) report.dropped("sampling.top_p", detail);
  if (topK !== undefined) report.dropped("sampling.top_k", detail);
}

function writeStop({ stop }: Sampling, config: WritableObject, { report }: WriteContext): void {
  if (stop.length === 0) return;
  if (stop.length > maxStopSequences) report.coerced("sampling.stop", `the first ${maxStopSequences}`);
  config.stopSequences = stop.slice(0, maxStopSequences);
}

function writeSeed({ seed }: Sampling, config: WritableObject, { report }: WriteContext): void {
  if (seed === undefined) return;
  if (BigInt.asIntN(32, seed) === seed) config.seed = seed;
  else report.refused("sampling.seed", "must fit into 32 bits: -2147483648 to 2147483647");
}

function writeLogprobs({ logprobs, topLogprobs }: Sampling, config: WritableObject): void {
  const hasTop = topLogprobs !== undefined && topLogprobs > 0;
  if (logprobs !== true && !(hasTop && logprobs === undefined)) return;
  config.responseLogprobs = true;
  if (hasTop) config.logprobs = topLogprobs;
}

/** Gives the instruction that stands in for a setting which the model does not have. */
function writeOutputFormat({ outputFormat }: GenerateRequest, config: WritableObject, context: WriteContext): string | undefined {
  if (outputFormat === undefined) return undefined;
  const { report, target } = context;
  const { kind, schemaJson, description, verbosity, modalities, audio } = outputFormat;
  if (verbosity !== Verbosity.UNSPECIFIED) report.dropped("output_format.verbosity", "has no equal");
  if (description !== "") report.dropped("output_format.description", "schemas have no description beside them");
  writeModalities(modalities, audio, config, context);
  if (kind === OutputKind.GRAMMAR) report.refused("output_format.grammar", "the model cannot be held to a grammar");
  if (kind !== OutputKind.JSON_OBJECT && kind !== OutputKind.JSON_SCHEMA) return undefined;
  const hasSchema = kind === OutputKind.JSON_SCHEMA && schemaJson !== "";
  if (target.traits.structuredOutput === false) {
    report.emulated("output_format", "an instruction, as the model cannot be held to a format");
    const schema = hasSchema ? ` that follows this JSON Schema:\n${schemaJson}` : ".";
    return `Answer with one JSON object and nothing else${schema}`;
  }
  config.responseMimeType = "application/json";
  if (hasSchema) {
    const name = context.quirks.schemas === "openapi" ? "responseSchema" : "responseJsonSchema";
    config[name] = writeSchema(schemaJson, "output_format.schema_json", context);
  }
  return undefined;
}

const modalityWords: Readonly<Partial<Record<Modality, string>>> = {
  [Modality.TEXT]: "TEXT",
  [Modality.AUDIO]: "AUDIO",
  [Modality.IMAGE]: "IMAGE",
};

function writeModalities(
  modalities: readonly Modality[],
  audio: AudioOutput | undefined,
  config: WritableObject,
  { report }: WriteContext,
): void {
  if (modalities.some((modality) => modality !== Modality.TEXT))
    config.responseModalities = modalities.flatMap((word) => modalityWords[word] ?? []);
  if (audio === undefined) return;
  if (audio.voice !== "") config.speechConfig = { voiceConfig: { prebuiltVoiceConfig: { voiceName: audio.voice } } };
  // Sound comes as 24 kHz PCM, whatever is asked.
  if (audio.format !== "" && audio.format !== "pcm16") report.coerced("output_format.audio.format", "pcm16");
}
