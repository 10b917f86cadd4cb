/** Splits a request for vectors into as many as a provider takes, and joins the answers in the order of the inputs. */
import { clone } from "@bufbuild/protobuf";
import { type EmbedRequest, EmbedRequestSchema, type EmbedResponse } from "../../gen/dragoman/v1/embed_pb.ts";
import { GatewayError } from "../core/error.ts";
import { addUsages } from "../core/usage.ts";

/** The request itself where it fits; else requests with at most `maxInputs` inputs each. */
export function splitInputs(request: EmbedRequest, maxInputs: number): EmbedRequest[] {
  const { inputs } = request;
  if (inputs.length <= maxInputs) return [request];
  const bare = clone(EmbedRequestSchema, { ...request, inputs: [] });
  const parts: EmbedRequest[] = [];
  for (let start = 0; start < inputs.length; start += maxInputs) parts.push({ ...bare, inputs: inputs.slice(start, start + maxInputs) });
  return parts;
}

/** Joins the answers of `parts`. Throws provider_error where an answer has not one vector per input and type. */
export function joinEmbeddings(replies: readonly EmbedResponse[], parts: readonly EmbedRequest[]): EmbedResponse {
  let offset = 0;
  for (const [at, reply] of replies.entries()) {
    const count = parts[at]?.inputs.length ?? 0;
    const perInput = Math.max(1, parts[at]?.types.length ?? 1);
    const indexes = new Set(reply.embeddings.map(({ index }) => index));
    const complete = reply.embeddings.length === count * perInput && indexes.size === count && [...indexes].every((index) => index < count);
    if (!complete) {
      throw new GatewayError("provider_error", `the provider sent ${reply.embeddings.length} vectors for ${count} inputs`);
    }
    if (offset > 0) for (const embedding of reply.embeddings) embedding.index += offset;
    offset += count;
  }
  const [first, ...rest] = replies;
  if (first === undefined) throw new GatewayError("provider_error", "the provider sent no vectors");
  if (rest.length === 0) return first;
  const usages = replies.flatMap(({ usage }) => (usage === undefined ? [] : [usage]));
  return {
    ...first,
    embeddings: replies.flatMap(({ embeddings }) => embeddings),
    ...(usages.length === 0 ? {} : { usage: addUsages(usages) }),
  };
}

/** Runs `run` over all items, `lanes` at a time, results in order. The first failure stops the others and is thrown. */
export async function runInLanes<Item, Result>(
  items: readonly Item[],
  lanes: number,
  signal: AbortSignal,
  run: (item: Item, signal: AbortSignal) => Promise<Result>,
): Promise<Result[]> {
  const others = new AbortController();
  const both = AbortSignal.any([signal, others.signal]);
  const results = new Array<Result>(items.length);
  let next = 0;
  const lane = async () => {
    for (let at = next++; at < items.length; at = next++) results[at] = await run(items[at] as Item, both);
  };
  try {
    await Promise.all(Array.from({ length: Math.min(lanes, items.length) }, lane));
  } catch (failure) {
    others.abort(failure);
    throw failure;
  }
  return results;
}
