/** A folded answer as a `text_completion` object. */
import type { Candidate, CompleteResponse, Part } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { AnswerFacts, DialectRequest } from "../../core/dialect.ts";
import { type WritableObject, writeJson } from "../../core/json.ts";
import { answerHead } from "./answer-head.ts";
import { writeLogprobs } from "./logprobs.ts";
import { echoOf, type Rendering, renderingOf } from "./rendering.ts";
import { writeUsage } from "./usage.ts";
import { codePoints, finishWord } from "./wire.ts";

/** JSON text. Reasoning has no place here: the text is what the model says. */
export function writeResponse(response: CompleteResponse, facts: AnswerFacts, request: DialectRequest): string {
  const rendering = renderingOf(request);
  return writeJson({
    ...answerHead(response.started, facts, request.generate.model),
    choices: response.candidates.map((candidate) => writeChoice(candidate, rendering)),
    usage: writeUsage(response.usage ?? response.settled?.usage),
  });
}

function writeChoice({ index, message, finished }: Candidate, rendering: Rendering): WritableObject {
  const parts = message?.parts ?? [];
  const echo = echoOf(rendering, index);
  const refused = parts.some(({ part }) => part.case === "refusal");
  return {
    text: echo + parts.map(textOf).join(""),
    index,
    logprobs: writeLogprobs(
      parts.flatMap(({ logprobs }) => logprobs),
      codePoints(echo),
    ),
    finish_reason: finishWord(finished?.reason, refused),
  };
}

function textOf({ part }: Part): string {
  return part.case === "text" || part.case === "refusal" ? part.value : "";
}
