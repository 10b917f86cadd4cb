/** Sampling, the shape of the output, reasoning, and what is about the account. */
import { create } from "@bufbuild/protobuf";
import { ServiceTier } from "../../../gen/dragoman/v1/call_pb.ts";
import {
  type GenerateRequest,
  Modality,
  type OutputFormat,
  OutputKind,
  type Reasoning,
  ReasoningDisplay,
  ReasoningMode,
  type Sampling,
  Verbosity,
} from "../../../gen/dragoman/v1/generate_pb.ts";
import { FormatType, type GetCompletionsRequest, ReasoningEffort, ResponseFormatSchema } from "../../../gen/xai/api/v1/chat_pb.ts";
import { effortLevel, effortOfBudget, isReasoningOff, nearestEffort } from "../../core/effort.ts";
import { upstreamJsonLimits } from "../../core/json.ts";
import { readJsonObject } from "../../core/json-field.ts";
import type { TranslationReport } from "../../core/translation.ts";
import { efforts, effortsTaken, maxStopSequences, maxTopLogprobs } from "./wire.ts";
import type { WriteContext } from "./write-context.ts";

const maxInt32 = 2 ** 31 - 1;

export function writeSettings(message: GetCompletionsRequest, request: GenerateRequest, context: WriteContext): void {
  if (request.sampling !== undefined) writeSampling(message, request.sampling, context);
  if (request.outputFormat !== undefined) writeOutput(message, request.outputFormat, context);
  if (request.reasoning !== undefined) writeReasoning(message, request.reasoning, context);
  writeAccount(message, request, context);
}

function writeSampling(message: GetCompletionsRequest, sampling: Sampling, { report, state, target }: WriteContext): void {
  const clamped = (name: string, value: number, min: number, max: number) => {
    const near = Math.min(Math.max(value, min), max);
    if (near !== value) report.coerced(`sampling.${name}`, String(near));
    return near;
  };
  const { temperature, topP, topK, maxOutputTokens, stop, seed, candidateCount, logprobs, topLogprobs } = sampling;
  const samples = target.traits.sampling !== false;
  if (temperature !== undefined && samples) message.temperature = clamped("temperature", temperature, 0, 2);
  else if (temperature !== undefined) report.dropped("sampling.temperature", "the model samples in its own way");
  if (topP !== undefined && samples) message.topP = topP;
  else if (topP !== undefined) report.dropped("sampling.top_p", "the model samples in its own way");
  if (topK !== undefined) report.dropped("sampling.top_k", "has no equal");
  if (maxOutputTokens !== undefined) message.maxTokens = clamped("max_output_tokens", maxOutputTokens, 0, maxInt32);
  if (sampling.frequencyPenalty !== undefined) message.frequencyPenalty = clamped("frequency_penalty", sampling.frequencyPenalty, -2, 2);
  if (sampling.presencePenalty !== undefined) message.presencePenalty = clamped("presence_penalty", sampling.presencePenalty, -2, 2);
  if (stop.length > maxStopSequences) report.coerced("sampling.stop", `the first ${maxStopSequences}`);
  message.stop = stop.slice(0, maxStopSequences);
  if (seed !== undefined) {
    if (BigInt.asIntN(32, seed) === seed) message.seed = Number(seed);
    else report.refused("sampling.seed", "must fit into 32 bits: -2147483648 to 2147483647");
  }
  if (candidateCount !== undefined && candidateCount > 1) {
    message.n = candidateCount;
    state.severalCandidates = true;
  }
  if (logprobs !== undefined) message.logprobs = logprobs;
  if (topLogprobs !== undefined) message.topLogprobs = clamped("top_logprobs", topLogprobs, 0, maxTopLogprobs);
  if (Object.keys(sampling.logitBias).length > 0) report.dropped("sampling.logit_bias", "tokens cannot be biased");
  if (sampling.minP !== undefined) report.dropped("sampling.min_p", "has no equal");
  if (sampling.repetitionPenalty !== undefined) report.dropped("sampling.repetition_penalty", "has no equal");
}

function writeOutput(message: GetCompletionsRequest, output: OutputFormat, { report }: WriteContext): void {
  switch (output.kind) {
    case OutputKind.JSON_OBJECT:
      message.responseFormat = create(ResponseFormatSchema, { formatType: FormatType.JSON_OBJECT });
      break;
    case OutputKind.JSON_SCHEMA:
      if (output.schemaJson !== "") readJsonObject(output.schemaJson, "output_format.schema_json", upstreamJsonLimits);
      message.responseFormat = create(ResponseFormatSchema, { formatType: FormatType.JSON_SCHEMA, schema: output.schemaJson || "{}" });
      break;
    case OutputKind.GRAMMAR:
      report.refused("output_format.grammar", "the target follows no grammars");
      break;
    default:
      break;
  }
  if (output.description !== "") report.dropped("output_format.description", "schemas have no description beside them");
  if (output.verbosity !== Verbosity.UNSPECIFIED) report.dropped("output_format.verbosity", "has no equal");
  for (const [index, modality] of output.modalities.entries()) {
    if (modality !== Modality.TEXT) report.refused(`output_format.modalities[${index}]`, "the target gives text only");
  }
  if (output.audio !== undefined) report.refused("output_format.audio", "the target gives no audio");
}

function writeReasoning(message: GetCompletionsRequest, reasoning: Reasoning, { report, target }: WriteContext): void {
  const effort = effortOf(reasoning, report);
  if (effort !== undefined) {
    if (target.traits.reasoning === "none") report.dropped("reasoning", "how much the model thinks cannot be set");
    else message.reasoningEffort = effort;
  }
  if (reasoning.display !== ReasoningDisplay.UNSPECIFIED) report.dropped("reasoning.display", "what is shown is the target's own choice");
  if (reasoning.context !== "") report.dropped("reasoning.context", "the model sees what is sent");
  // Without it nothing of the reasoning could go back with the next turn; who does not want it says so.
  message.useEncryptedContent = reasoning.encrypted ?? true;
}

function effortOf(reasoning: Reasoning, report: TranslationReport): ReasoningEffort | undefined {
  if (isReasoningOff(reasoning)) return ReasoningEffort.EFFORT_NONE;
  const { mode, effort, budgetTokens } = reasoning;
  const asked = effortLevel(effort);
  if (asked !== undefined) {
    if (budgetTokens !== undefined) report.dropped("reasoning.budget_tokens", "the target takes an effort, which was given too");
    const nearest = nearestEffort(asked, effortsTaken);
    if (nearest !== asked) report.coerced("reasoning.effort", nearest);
    return efforts[nearest];
  }
  if (budgetTokens !== undefined) {
    const nearest = nearestEffort(effortOfBudget(budgetTokens), effortsTaken);
    report.coerced("reasoning.budget_tokens", `the effort ${nearest}: the target takes no budget`);
    return efforts[nearest];
  }
  // Thinking as much as the model likes is what it does unasked.
  if (mode === ReasoningMode.BETWEEN_TOOLS) report.dropped("reasoning.mode", "when the model thinks is its own choice");
  return undefined;
}

function writeAccount(message: GetCompletionsRequest, request: GenerateRequest, { report }: WriteContext): void {
  const { cache, serverState, metadata, serviceTier } = request;
  message.user = request.attribution?.endUserId ?? "";
  if (serverState !== undefined) {
    if (serverState.previousId !== "") message.previousResponseId = serverState.previousId;
    if (serverState.conversationId !== "") report.refused("server_state.conversation_id", "conversations are not kept; send the messages");
    message.storeMessages = serverState.store ?? false;
  }
  if (Object.keys(metadata).length > 0) report.dropped("metadata", "requests have no labels");
  if (serviceTier !== ServiceTier.UNSPECIFIED) report.dropped("service_tier", "has no equal");
  if (cache === undefined) return;
  if (cache.contentId !== "") report.refused("cache.content_id", "the target has no cache objects made beforehand");
  if (cache.key !== "") report.dropped("cache.key", "prefixes are cached without keys");
  if (cache.automatic) report.dropped("cache.automatic", "prefixes are cached without markers");
  if (cache.ttlSeconds !== undefined) report.dropped("cache.ttl_seconds", "prefixes are cached as long as the target likes");
}
