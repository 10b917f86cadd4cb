/** Sampling and length, as far as the API has them. */
import type { Sampling } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { WritableObject } from "../../core/json.ts";
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

/** Members of the request; `thinks` says whether the model is asked to think, which excludes sampling. */
export function writeSampling(
  sampling: Sampling | undefined,
  traits: ModelTraits,
  thinks: boolean,
  report: TranslationReport,
): WritableObject {
  if (sampling === undefined) return {};
  if ((sampling.candidateCount ?? 1) > 1) report.refused("sampling.candidate_count", "one answer is given at a time");
  reportAbsent(sampling, report);
  return { ...writeRandomness(sampling, traits, thinks, report), stop_sequences: writeStop(sampling.stop, report) };
}

function writeRandomness(
  { temperature, topP, topK }: Sampling,
  traits: ModelTraits,
  thinks: boolean,
  report: TranslationReport,
): WritableObject {
  if (traits.sampling === false || thinks) {
    const detail = thinks ? "not taken while the model thinks" : "the model does not take it";
    // 1 is what the API does by itself.
    if (temperature !== undefined && temperature !== 1) report.dropped("sampling.temperature", detail);
    if (topP !== undefined && topP !== 1) report.dropped("sampling.top_p", detail);
    if (topK !== undefined) report.dropped("sampling.top_k", detail);
    return {};
  }
  const clamped = temperature === undefined ? undefined : Math.min(temperature, 1);
  if (clamped !== temperature) report.coerced("sampling.temperature", "1, the largest");
  const both = temperature !== undefined && topP !== undefined && traits.temperatureWithTopP !== true;
  if (both && topP !== 1) report.dropped("sampling.top_p", "the model takes temperature or top_p, not both");
  return { temperature: clamped, top_p: both ? undefined : topP, top_k: topK };
}

function writeStop(stop: readonly string[], report: TranslationReport): string[] | undefined {
  const taken = stop.filter((text, index) => {
    const isTaken = text.trim() !== "";
    if (!isTaken) report.dropped(`sampling.stop[${index}]`, "white space alone is not taken");
    return isTaken;
  });
  return taken.length === 0 ? undefined : taken;
}

/** What the API does not have. A value that changes nothing is no loss. */
function reportAbsent(sampling: Sampling, report: TranslationReport): void {
  const absent: readonly [string, boolean][] = [
    ["seed", sampling.seed !== undefined],
    ["frequency_penalty", (sampling.frequencyPenalty ?? 0) !== 0],
    ["presence_penalty", (sampling.presencePenalty ?? 0) !== 0],
    ["repetition_penalty", (sampling.repetitionPenalty ?? 1) !== 1],
    ["min_p", (sampling.minP ?? 0) !== 0],
    ["logprobs", sampling.logprobs === true],
    ["top_logprobs", (sampling.topLogprobs ?? 0) !== 0],
    ["logit_bias", Object.keys(sampling.logitBias).length > 0],
  ];
  for (const [name, isSaid] of absent) if (isSaid) report.dropped(`sampling.${name}`, "not offered");
}
