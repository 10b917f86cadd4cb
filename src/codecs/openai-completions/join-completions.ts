/** Answers to several prompts as one: choices in the order of the prompts, counts added up. */
import type { CompleteResponse } from "../../../gen/dragoman/v1/generate_pb.ts";
import { addUsages } from "../../core/usage.ts";
import type { CompletionRequests } from "./read-request.ts";
import { renderingOf } from "./rendering.ts";

/** `responses` are one for each of `requests.each`, in their order. Write what comes out with `requests.answer`. */
export function joinCompletions(responses: readonly CompleteResponse[], { answer }: CompletionRequests): CompleteResponse {
  const { perPrompt } = renderingOf(answer);
  const [first] = responses;
  if (first === undefined) throw new Error("there is nothing to join");
  const usages = responses.flatMap(({ usage, settled }) => usage ?? settled?.usage ?? []);
  return {
    ...first,
    candidates: responses.flatMap(({ candidates }, prompt) =>
      candidates.map((candidate) => ({ ...candidate, index: prompt * perPrompt + candidate.index })),
    ),
    ...(usages.length === 0 ? {} : { usage: addUsages(usages) }),
  };
}
