/** The words of OpenAI's legacy Completions wire format (openai 7.55, resources/completions). */
import { FinishReason } from "../../../gen/dragoman/v1/generate_pb.ts";

export const format = "openai-completions";

/** Reasons without a word here get the nearest one (contract.md 5); `stop` is the neutral one. */
const finishWords: Readonly<Record<number, string>> = {
  [FinishReason.LENGTH]: "length",
  [FinishReason.CONTEXT_EXCEEDED]: "length",
  [FinishReason.TIME_LIMIT]: "length",
  [FinishReason.CONTENT_FILTER]: "content_filter",
  [FinishReason.REFUSAL]: "content_filter",
  [FinishReason.RECITATION]: "content_filter",
  [FinishReason.GUARDRAIL]: "content_filter",
};

/** A refusal in words is no filter: the client reads the words. */
export function finishWord(reason: FinishReason | undefined, refusedInWords: boolean): string {
  if (reason === undefined || (reason === FinishReason.REFUSAL && refusedInWords)) return "stop";
  return finishWords[reason] ?? "stop";
}

/** Length in Unicode code points, which is what offsets count. */
export function codePoints(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}
