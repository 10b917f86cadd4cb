/** Sampling and length, as far as the API has them. */
import type { Sampling } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { WritableObject } from "../../core/json.ts";
import { dropAbsent, dropRandomness, type SamplingName, visibleStops } from "../../core/sampling.ts";
import type { ModelTraits } from "../../core/target.ts";
import type { TranslationReport } from "../../core/translation.ts";

/** Where neither the client nor the catalog says how long an answer may be. */
const defaultMaxTokens = 4096;

export interface AnswerLimit {
  readonly maxTokens: number;
  readonly filledIn: boolean;
}

/** `max_tokens` is required. */
export function planLimit(sampling: Sampling | undefined, { maxOutputTokens }: ModelTraits): AnswerLimit {
  const said = sampling?.maxOutputTokens;
  return said === undefined ? { maxTokens: maxOutputTokens ?? defaultMaxTokens, filledIn: true } : { maxTokens: said, filledIn: false };
}

/** What the API does not have. */
const absent: readonly SamplingName[] = [
  "seed",
  "frequency_penalty",
  "presence_penalty",
  "repetition_penalty",
  "min_p",
  "logprobs",
  "top_logprobs",
  "logit_bias",
];

/** Members of the request; `thinks` says whether the model is asked to think, which excludes sampling. */
export function writeSampling(
  sampling: Sampling | undefined,
  traits: ModelTraits,
  thinks: boolean,
  report: TranslationReport,
): WritableObject {
  if (sampling === undefined) return {};
  if ((sampling.candidateCount ?? 1) > 1) report.refused("sampling.candidate_count", "one answer is given at a time");
  dropAbsent(sampling, absent, report);
  return { ...writeRandomness(sampling, traits, thinks, report), stop_sequences: visibleStops(sampling.stop, report) };
}

function writeRandomness(sampling: Sampling, traits: ModelTraits, thinks: boolean, report: TranslationReport): WritableObject {
  const { temperature, topP, topK } = sampling;
  if (traits.sampling === false || thinks) {
    dropRandomness(sampling, thinks ? "not taken while the model thinks" : "the model does not take it", report);
    return {};
  }
  const clamped = temperature === undefined ? undefined : Math.min(temperature, 1);
  if (clamped !== temperature) report.coerced("sampling.temperature", "1, the largest");
  const both = temperature !== undefined && topP !== undefined && traits.temperatureWithTopP !== true;
  if (both && topP !== 1) report.dropped("sampling.top_p", "the model takes temperature or top_p, not both");
  return { temperature: clamped, top_p: both ? undefined : topP, top_k: topK };
}
