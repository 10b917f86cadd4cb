/** What streamed and buffered answers have in common: the head, and what stands beside a candidate's content. */
import { toJson } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import type { Finished, Started } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { AnswerFacts } from "../../core/dialect.ts";
import { mergeExtras, type WritableObject } from "../../core/json.ts";
import { finishWord, formatName } from "./wire.ts";

/** Members at the top of every chunk. `model` is what the client asked for, where the provider does not name its own. */
export function writeHead(started: Started | undefined, facts: AnswerFacts, model: string): WritableObject {
  return {
    modelVersion: started?.servedModel || started?.requestedModel || model,
    // Vertex AI says when; the Gemini API does not.
    createTime: started?.createdAt === undefined ? undefined : toJson(TimestampSchema, started.createdAt),
    responseId: started?.upstreamId || facts.generationId,
  };
}

/**
 * A candidate that is complete. `grounding` is what its annotations say; a provider of this format said it itself, among
 * the fields that are not modelled.
 */
export function writeCandidate(
  content: WritableObject,
  finished: Finished | undefined,
  index: number,
  grounding: WritableObject | undefined,
  extrasJson: Readonly<Record<string, string>>,
): WritableObject {
  const candidate: WritableObject = {
    content,
    finishReason: finished === undefined ? undefined : finishWord(finished.reason, finished.rawReason),
    finishMessage: finished?.message || undefined,
    index,
    avgLogprobs: finished?.meanLogprob,
  };
  mergeExtras(candidate, extrasJson[formatName]);
  const isGrounded = candidate.groundingMetadata !== undefined || candidate.citationMetadata !== undefined;
  if (grounding !== undefined && !isGrounded) candidate.groundingMetadata = grounding;
  return candidate;
}

/** `promptFeedback` of an answer that was not begun, because the prompt was blocked. */
export function writeFeedback({ rawReason, message }: Finished): WritableObject {
  // Words of other formats are not in capitals.
  const blockReason = /^[A-Z][A-Z_]*$/.test(rawReason) ? rawReason : "SAFETY";
  return { blockReason, blockReasonMessage: message || undefined };
}
