/**
 * Log probabilities: `{text, token_ids, logprobs}`, a piece of text with the tokens it was made of. A piece of several
 * tokens has no text for each of them, so it is one entry with the probability of all together.
 */
import type { TokenLogprob } from "../../../gen/dragoman/v1/generate_pb.ts";
import { isJsonObject, type JsonValue } from "../../core/json.ts";
import { textMember } from "../../core/members.ts";

/** One piece; undefined for what is none. */
function readLogprob(item: JsonValue | undefined): TokenLogprob | undefined {
  if (!isJsonObject(item) || !Array.isArray(item.logprobs)) return undefined;
  const logprobs = item.logprobs.filter((logprob) => typeof logprob === "number");
  if (logprobs.length === 0) return undefined;
  const [id, ...more] = Array.isArray(item.token_ids) ? item.token_ids : [];
  const isOne = more.length === 0 && typeof id === "number" && id >= 0 && id <= 0xffff_ffff && Number.isInteger(id);
  return {
    $typeName: "dragoman.v1.TokenLogprob",
    token: textMember(item, "text"),
    logprob: logprobs.reduce((sum, logprob) => sum + logprob, 0),
    bytes: new Uint8Array(),
    top: [],
    ...(isOne ? { tokenId: id } : {}),
  };
}

export function readLogprobs(items: JsonValue | undefined): TokenLogprob[] {
  return (Array.isArray(items) ? items : [items]).flatMap((item) => readLogprob(item) ?? []);
}
