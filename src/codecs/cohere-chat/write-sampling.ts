/** Sampling and length, as far as the API has them. */
import type { Sampling } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { WritableObject } from "../../core/json.ts";
import { dropAbsent, type SamplingName } from "../../core/sampling.ts";
import type { WriteContext } from "./write-context.ts";

const maxStops = 5;
const maxTopK = 500;
/** What the API does not have. */
const absent: readonly SamplingName[] = ["repetition_penalty", "min_p", "top_logprobs", "logit_bias"];

/** Members of the request. */
export function writeSampling(sampling: Sampling | undefined, { target, report }: WriteContext): WritableObject {
  if (sampling === undefined) return {};
  if ((sampling.candidateCount ?? 1) > 1) report.refused("sampling.candidate_count", "one answer is given at a time");
  dropAbsent(sampling, absent, report);
  const takesSampling = target.traits.sampling !== false;
  if (!takesSampling) {
    for (const name of ["temperature", "topP", "topK"] as const) {
      if (sampling[name] !== undefined) report.dropped(`sampling.${wireNames[name]}`, "the model does not take it");
    }
  }
  return {
    max_tokens: sampling.maxOutputTokens,
    temperature: takesSampling ? sampling.temperature : undefined,
    p: takesSampling ? clamp("top_p", sampling.topP, 0.01, 0.99) : undefined,
    k: takesSampling ? clamp("top_k", sampling.topK, 0, maxTopK) : undefined,
    frequency_penalty: clamp("frequency_penalty", sampling.frequencyPenalty, 0, 1),
    presence_penalty: clamp("presence_penalty", sampling.presencePenalty, 0, 1),
    stop_sequences: writeStop(sampling.stop),
    seed: writeSeed(sampling.seed),
    logprobs: sampling.logprobs === true || (sampling.topLogprobs ?? 0) > 0 ? true : undefined,
  };

  function clamp(name: string, value: number | undefined, min: number, max: number): number | undefined {
    if (value === undefined || (value >= min && value <= max)) return value;
    const clamped = value < min ? min : max;
    report.coerced(`sampling.${name}`, `${clamped}: the API takes ${min} to ${max}`);
    return clamped;
  }

  function writeStop(stop: readonly string[]): readonly string[] | undefined {
    if (stop.length > maxStops) report.coerced("sampling.stop", `the first ${maxStops}: the API takes no more`);
    return stop.length === 0 ? undefined : stop.slice(0, maxStops);
  }

  function writeSeed(seed: bigint | undefined): bigint | undefined {
    if (seed === undefined || seed >= 0n) return seed;
    report.refused("sampling.seed", "must not be negative");
    return undefined;
  }
}

const wireNames = { temperature: "temperature", topP: "top_p", topK: "top_k" } as const;
