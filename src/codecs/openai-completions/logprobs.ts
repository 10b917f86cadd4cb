/** Log probabilities in the legacy form: lists side by side, with the place of each token in the text. */
import type { TokenLogprob } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { Writable, WritableObject } from "../../core/json.ts";
import { codePoints } from "./wire.ts";

/** Null where there are none. `offset` is where the first token begins, in code points. */
export function writeLogprobs(logprobs: readonly TokenLogprob[], offset: number): Writable {
  if (logprobs.length === 0) return null;
  const offsets: number[] = [];
  let at = offset;
  for (const { token } of logprobs) {
    offsets.push(at);
    at += codePoints(token);
  }
  return {
    tokens: logprobs.map(({ token }) => token),
    token_logprobs: logprobs.map(({ logprob }) => logprob),
    top_logprobs: logprobs.some(({ top }) => top.length > 0) ? logprobs.map(writeTop) : null,
    text_offset: offsets,
  };
}

/** The token itself is among its alternatives. */
function writeTop({ token, logprob, top }: TokenLogprob): WritableObject {
  const written: WritableObject = {};
  for (const alternative of top) written[alternative.token] = alternative.logprob;
  written[token] ??= logprob;
  return written;
}
