/** Sampling and length. Values out of the target's range are clamped and reported. */
import type { Sampling } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { FieldWriter } from "./field-writer.ts";
import type { WriteContext } from "./write-content.ts";

const maxTemperature = 2;
const maxPenalty = 2;
const maxStops = 4;

export function writeSampling(sampling: Sampling | undefined, fields: FieldWriter, { quirks, target, report }: WriteContext): void {
  if (sampling === undefined) return;
  const put = fields.put.bind(fields);
  put(quirks.maxTokensField ?? "max_completion_tokens", "sampling.max_output_tokens", sampling.maxOutputTokens);
  if (target.traits.sampling === false) {
    for (const [name, value] of [
      ["temperature", sampling.temperature],
      ["top_p", sampling.topP],
      ["top_k", sampling.topK],
    ] as const) {
      if (value !== undefined) report.dropped(`sampling.${name}`, "the model takes no sampling settings");
    }
  } else {
    put("temperature", "sampling.temperature", clamp(sampling.temperature, 0, quirks.maxTemperature ?? maxTemperature, "temperature"));
    put("top_p", "sampling.top_p", sampling.topP);
    native("top_k", sampling.topK);
  }
  native("min_p", sampling.minP);
  native("repetition_penalty", sampling.repetitionPenalty);
  put("frequency_penalty", "sampling.frequency_penalty", clamp(sampling.frequencyPenalty, -maxPenalty, maxPenalty, "frequency_penalty"));
  put("presence_penalty", "sampling.presence_penalty", clamp(sampling.presencePenalty, -maxPenalty, maxPenalty, "presence_penalty"));
  writeStop();
  put("seed", "sampling.seed", sampling.seed);
  writeCandidates();
  // The alternatives are refused without the flag.
  const logprobs = sampling.logprobs ?? (sampling.topLogprobs === undefined ? undefined : true);
  put("logprobs", "sampling.logprobs", logprobs);
  put("top_logprobs", "sampling.top_logprobs", sampling.topLogprobs);
  if (Object.keys(sampling.logitBias).length > 0) put("logit_bias", "sampling.logit_bias", { ...sampling.logitBias });

  /** OpenAI itself has none of these. */
  function native(name: "top_k" | "min_p" | "repetition_penalty", value: number | undefined): void {
    if (value === undefined) return;
    if (quirks.nativeFields?.includes(name)) put(name, `sampling.${name}`, value);
    else report.dropped(`sampling.${name}`, "the target has no such setting");
  }

  function clamp(value: number | undefined, min: number, max: number, name: string): number | undefined {
    if (value === undefined || (value >= min && value <= max)) return value;
    const clamped = value < min ? min : max;
    report.coerced(`sampling.${name}`, `${clamped}: the target takes ${min} to ${max}`);
    return clamped;
  }

  function writeStop(): void {
    const limit = quirks.maxStops ?? maxStops;
    const { stop } = sampling as Sampling;
    if (stop.length === 0) return;
    if (stop.length > limit) report.coerced("sampling.stop", `the first ${limit}: the target takes no more`);
    put("stop", "sampling.stop", stop.slice(0, limit));
  }

  function writeCandidates(): void {
    const { candidateCount } = sampling as Sampling;
    if (candidateCount === undefined || candidateCount === 1) return;
    if (quirks.refusedParameters?.includes("n"))
      report.refused("sampling.candidate_count", "must be 1: the target gives one answer at a time");
    else put("n", "sampling.candidate_count", candidateCount);
  }
}
