/** Sampling settings that a target does not take. */
import type { Sampling } from "../../gen/dragoman/v1/generate_pb.ts";
import type { TranslationReport } from "./translation.ts";

/** Whether a setting says something: a value that changes nothing is no loss. */
const isSaid = {
  seed: ({ seed }) => seed !== undefined,
  frequency_penalty: ({ frequencyPenalty = 0 }) => frequencyPenalty !== 0,
  presence_penalty: ({ presencePenalty = 0 }) => presencePenalty !== 0,
  repetition_penalty: ({ repetitionPenalty = 1 }) => repetitionPenalty !== 1,
  min_p: ({ minP = 0 }) => minP !== 0,
  logprobs: ({ logprobs }) => logprobs === true,
  top_logprobs: ({ topLogprobs = 0 }) => topLogprobs !== 0,
  logit_bias: ({ logitBias }) => Object.keys(logitBias).length > 0,
} as const satisfies Record<string, (sampling: Sampling) => boolean>;

export type SamplingName = keyof typeof isSaid;

/** Notes each of the named settings that says something as dropped. */
export function dropAbsent(sampling: Sampling, absent: readonly SamplingName[], report: TranslationReport): void {
  for (const name of absent) if (isSaid[name](sampling)) report.dropped(`sampling.${name}`, "not offered");
}

/** Notes what else shapes the randomness as dropped. 1 is what models do by themselves. */
export function dropRandomness({ temperature = 1, topP = 1, topK }: Sampling, detail: string, report: TranslationReport): void {
  if (temperature !== 1) report.dropped("sampling.temperature", detail);
  if (topP !== 1) report.dropped("sampling.top_p", detail);
  if (topK !== undefined) report.dropped("sampling.top_k", detail);
}

/** The stop texts but for those of white space, which some services refuse; undefined where none is left. */
export function visibleStops(stop: readonly string[], report: TranslationReport): string[] | undefined {
  const taken = stop.filter((text, index) => {
    const isTaken = text.trim() !== "";
    if (!isTaken) report.dropped(`sampling.stop[${index}]`, "white space alone is not taken");
    return isTaken;
  });
  return taken.length === 0 ? undefined : taken;
}
