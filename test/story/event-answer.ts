/** Puts the events of Generate together. */
import { FinishReason, type GenerateResponse } from "../../gen/dragoman/v1/generate_pb.ts";
import { Fold } from "../../src/core/fold.ts";
import type { Answer, Failure } from "./question.ts";

const finishWords: Record<number, string> = {
  [FinishReason.STOP]: "stop",
  [FinishReason.LENGTH]: "length",
  [FinishReason.TOOL_CALLS]: "tool_calls",
  [FinishReason.CONTENT_FILTER]: "content_filter",
};

export function answerOfEvents(events: readonly GenerateResponse[], failure?: Failure): Answer {
  const { candidates, usage, settled } = new Fold().addAll(events).response();
  const counts = settled?.usage ?? usage;
  return {
    candidates: candidates.map(({ message, finished }) => {
      const parts = (message?.parts ?? []).map(({ part }) => part);
      const join = (pieces: (string | undefined)[]) => pieces.join("");
      return {
        text: join(parts.map((part) => (part.case === "text" ? part.value : ""))),
        reasoning: join(parts.map((part) => (part.case === "reasoning" ? part.value.text + part.value.summaries.join("") : ""))),
        calls: parts.flatMap((part) =>
          part.case === "toolCall"
            ? [
                {
                  name: part.value.name,
                  arguments: failure === undefined ? JSON.parse(part.value.argumentsJson) : part.value.argumentsJson,
                },
              ]
            : [],
        ),
        finish: finished === undefined ? "" : (finishWords[finished.reason] ?? `reason ${finished.reason}`),
      };
    }),
    usage:
      counts === undefined
        ? undefined
        : { input: counts.inputTokens ?? 0, output: counts.outputTokens ?? 0, cached: counts.cacheReadTokens },
    failure,
  };
}
