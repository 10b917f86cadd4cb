/** Sampling, length and how much to think. Values out of the target's range are clamped and reported. */
import { type GenerateRequest, type Reasoning, ReasoningDisplay } from "../../../gen/dragoman/v1/generate_pb.ts";
import { isReasoningOff } from "../../core/effort.ts";
import type { WritableObject } from "../../core/json.ts";
import { wordFor } from "../../core/openai-words.ts";
import type { Target } from "../../core/target.ts";
import type { TranslationReport } from "../../core/translation.ts";
import { writeEffort } from "../../core/write-effort.ts";
import { displays } from "./wire.ts";
import type { WriteContext } from "./write-context.ts";

const maxTemperature = 2;
/** The service refuses less. */
const minOutputTokens = 16;

export function writeSampling(body: WritableObject, { sampling }: GenerateRequest, { target, report, state }: WriteContext): void {
  if (sampling === undefined) return;
  const { maxOutputTokens, temperature, topP } = sampling;
  if (maxOutputTokens !== undefined) {
    body.max_output_tokens = Math.max(maxOutputTokens, minOutputTokens);
    if (maxOutputTokens < minOutputTokens) report.coerced("sampling.max_output_tokens", `${minOutputTokens}: the target takes no less`);
  }
  if (target.traits.sampling === false) {
    if (temperature !== undefined) report.dropped("sampling.temperature", "the model takes no sampling settings");
    if (topP !== undefined) report.dropped("sampling.top_p", "the model takes no sampling settings");
  } else {
    if (temperature !== undefined) body.temperature = Math.min(temperature, maxTemperature);
    if ((temperature ?? 0) > maxTemperature)
      report.coerced("sampling.temperature", `${maxTemperature}: the target takes 0 to ${maxTemperature}`);
    if (topP !== undefined) body.top_p = topP;
  }
  if (sampling.topLogprobs !== undefined) body.top_logprobs = sampling.topLogprobs;
  const absent = {
    top_k: sampling.topK,
    frequency_penalty: sampling.frequencyPenalty,
    presence_penalty: sampling.presencePenalty,
    seed: sampling.seed,
    min_p: sampling.minP,
    repetition_penalty: sampling.repetitionPenalty,
    logit_bias: Object.keys(sampling.logitBias).length === 0 ? undefined : sampling.logitBias,
  };
  for (const [name, value] of Object.entries(absent)) {
    if (value !== undefined) report.dropped(`sampling.${name}`, "the target has no such setting");
  }
  if (state.stops.length > 0) report.emulated("sampling.stop", "the gateway cuts the answer: the target has no such setting");
  if ((sampling.candidateCount ?? 1) > 1) report.refused("sampling.candidate_count", "must be 1: the target gives one answer at a time");
}

export function writeReasoning(body: WritableObject, { reasoning }: GenerateRequest, { target, report }: WriteContext): void {
  if (reasoning === undefined) return;
  const written: WritableObject = {};
  const effort = effortWord(reasoning, target, report);
  if (effort !== undefined) written.effort = effort;
  const summary = wordFor(displays, reasoning.display);
  if (summary !== undefined && reasoning.display !== ReasoningDisplay.UNSPECIFIED) written.summary = summary;
  if (reasoning.context !== "") written.context = reasoning.context;
  if (Object.keys(written).length === 0) return;
  // Not to think is what such a model does unasked.
  if (target.traits.reasoning !== "none") body.reasoning = written;
  else if (effort !== "none") report.dropped("reasoning", "the model does not reason");
}

function effortWord(reasoning: Reasoning, { traits }: Target, report: TranslationReport): string | undefined {
  if (isReasoningOff(reasoning)) return "none";
  return writeEffort(reasoning, traits, report);
}
