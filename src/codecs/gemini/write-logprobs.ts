/** Log probabilities of tokens as `logprobsResult`. */
import type { TokenLogprob, TopLogprob } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { WritableObject } from "../../core/json.ts";

/** Undefined where there are none. One list of alternatives per token, where any has one. */
export function writeLogprobs(logprobs: readonly TokenLogprob[]): WritableObject | undefined {
  if (logprobs.length === 0) return undefined;
  const hasTop = logprobs.some(({ top }) => top.length > 0);
  return {
    chosenCandidates: logprobs.map(writeToken),
    topCandidates: hasTop ? logprobs.map(({ top }) => ({ candidates: top.map(writeToken) })) : undefined,
  };
}

function writeToken({ token, tokenId, logprob }: TokenLogprob | TopLogprob): WritableObject {
  return { token, tokenId, logProbability: logprob };
}
