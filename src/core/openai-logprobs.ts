/** Log probabilities of tokens, as Chat Completions and Responses have them alike. */
import type { TokenLogprob, TopLogprob } from "../../gen/dragoman/v1/generate_pb.ts";
import { isJsonObject, type JsonObject, type JsonValue, type WritableObject } from "./json.ts";

/** The entries of `logprobs.content` or `.refusal`; what is no entry is left out. */
export function readLogprobs(value: JsonValue | undefined): TokenLogprob[] {
  if (!Array.isArray(value)) return [];
  return value.filter(isJsonObject).map((entry) => ({
    $typeName: "dragoman.v1.TokenLogprob",
    ...readToken(entry),
    top: Array.isArray(entry.top_logprobs) ? entry.top_logprobs.filter(isJsonObject).map(readTop) : [],
  }));
}

function readTop(entry: JsonObject): TopLogprob {
  return { $typeName: "dragoman.v1.TopLogprob", ...readToken(entry) };
}

function readToken({ token, logprob, bytes }: JsonObject): { token: string; logprob: number; bytes: Uint8Array } {
  return {
    token: typeof token === "string" ? token : "",
    logprob: typeof logprob === "number" ? logprob : 0,
    bytes: Array.isArray(bytes) ? Uint8Array.from(bytes, (byte) => (typeof byte === "number" ? byte : 0)) : new Uint8Array(),
  };
}

export function writeLogprobs(logprobs: readonly TokenLogprob[]): WritableObject[] {
  return logprobs.map((entry) => ({ ...writeToken(entry), top_logprobs: entry.top.map(writeToken) }));
}

function writeToken({ token, logprob, bytes }: TokenLogprob | TopLogprob): WritableObject {
  return { token, logprob, bytes: bytes.length === 0 ? null : Array.from(bytes) };
}
