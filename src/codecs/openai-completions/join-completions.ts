/** Answers to several prompts as one: choices in the order of the prompts, counts added up. */
import type { CompleteResponse } from "../../../gen/dragoman/v1/generate_pb.ts";
import { addUsages } from "../../core/usage.ts";

/** `responses` are one for each prompt, in their order, and not empty; `perPrompt` is how many answers each was asked for. */
export function joinCompletions(responses: readonly CompleteResponse[], perPrompt: number): CompleteResponse {
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
