/** What a streamed and a whole answer have in common: the message's head, its end, and what a call's arguments are. */
import { type Finished, FinishReason, type Started } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { AnswerFacts } from "../../core/dialect.ts";
import { isJsonObject, RawJson, tryParseJson, upstreamJsonLimits, type Writable, type WritableObject } from "../../core/json.ts";
import { finishWord } from "./wire.ts";

const idPrefix = "msg_";

/** `model` is what the client asked for, where the provider does not name the one that answers. */
export function writeHead(started: Started | undefined, { generationId }: AnswerFacts, model: string): WritableObject {
  const id = started?.upstreamId ?? "";
  return {
    id: id.startsWith(idPrefix) ? id : `${idPrefix}${generationId}`,
    type: "message",
    role: "assistant",
    model: started?.servedModel || started?.requestedModel || model,
  };
}

/** Merge unknown members under these, then call `completeFinish`. */
export function writeFinish(finished: Finished | undefined): WritableObject {
  const { reason, stopSequence, message, category } = finished ?? {
    reason: FinishReason.UNSPECIFIED,
    stopSequence: "",
    message: "",
    category: "",
  };
  const word = finishWord(reason);
  const isExplained = word === "refusal" && (message !== "" || category !== "");
  return {
    stop_reason: word,
    stop_sequence: stopSequence || undefined,
    stop_details: isExplained ? { type: "refusal", category: category || null, explanation: message || null } : undefined,
  };
}

/** Members that are always there. A reason that has no word anywhere is the neutral end. */
export function completeFinish(written: WritableObject): void {
  written.stop_reason ??= "end_turn";
  written.stop_sequence ??= null;
  written.stop_details ??= null;
  written.container ??= null;
}

/** Input of a call: an object, whatever the model wrote. */
export function writeInput(argumentsJson: string): Writable {
  const text = argumentsJson.trim();
  if (text === "") return {};
  return isJsonObject(tryParseJson(text, upstreamJsonLimits)) ? new RawJson(text) : { _raw: argumentsJson };
}
