/** Sampling and length, as far as the API has them. */
import type { Sampling } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { WritableObject } from "../../core/json.ts";
import { dropAbsent, dropRandomness, type SamplingName, visibleStops } from "../../core/sampling.ts";
import type { WriteContext } from "./write-context.ts";

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

/** What the API has of sampling, and what the model takes beyond it. */
export interface SamplingPlan {
  /** Members of `inferenceConfig`, but for `maxTokens`. */
  readonly inference: WritableObject;
  /** Members of `additionalModelRequestFields`. */
  readonly additional: WritableObject;
}

/** `thinks`: the model is asked to think in a way that excludes sampling. */
export function writeSampling(sampling: Sampling | undefined, thinks: boolean, context: WriteContext): SamplingPlan {
  if (sampling === undefined) return { inference: {}, additional: {} };
  const { report } = context;
  if ((sampling.candidateCount ?? 1) > 1) report.refused("sampling.candidate_count", "one answer is given at a time");
  dropAbsent(sampling, absent, report);
  const stopSequences = visibleStops(sampling.stop, report);
  const { temperature, topP, topK } = writeRandomness(sampling, thinks, context);
  return { inference: { temperature, topP, stopSequences }, additional: writeTopK(topK, context) };
}

function writeRandomness(
  sampling: Sampling,
  thinks: boolean,
  { target: { traits }, report }: WriteContext,
): { temperature?: number | undefined; topP?: number | undefined; topK?: number | undefined } {
  const { temperature, topP, topK } = sampling;
  if (traits.sampling === false || thinks) {
    dropRandomness(sampling, thinks ? "not taken while the model thinks" : "the model does not take it", report);
    return {};
  }
  const clamped = temperature === undefined ? undefined : Math.min(temperature, 1);
  if (clamped !== temperature) report.coerced("sampling.temperature", "1, the largest");
  const excluded = temperature !== undefined && topP !== undefined && traits.temperatureWithTopP === false;
  if (excluded && topP !== 1) report.dropped("sampling.top_p", "the model takes temperature or top_p, not both");
  return { temperature: clamped, topP: excluded ? undefined : topP, topK };
}

/** Models that have it take it each in their own place. */
function writeTopK(topK: number | undefined, { quirks, report }: WriteContext): WritableObject {
  if (topK === undefined) return {};
  if (quirks.topK === undefined) {
    report.dropped("sampling.top_k", "the model does not take it");
    return {};
  }
  return quirks.topK.toReversed().reduce<WritableObject>((inner, name, depth) => ({ [name]: depth === 0 ? topK : inner }), {});
}
