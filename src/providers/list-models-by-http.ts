import type { Model } from "../../gen/dragoman/v1/model_pb.ts";
import { GatewayError } from "../core/error.ts";
import { JsonError, type JsonValue, parseJson, upstreamJsonLimits } from "../core/json.ts";
import { httpLimits } from "./http-limits.ts";
import { type HttpUpstream, isSuccess } from "./http-upstream.ts";
import type { ModelPage } from "./model-list.ts";

export interface ModelListing {
  /** Below the base URL; `cursor` is what the page before gave. */
  path(cursor: string | undefined): string;
  headers?: Readonly<Record<string, string>>;
  /** Throws GatewayError where the body is no list. */
  read(body: JsonValue, provider: string): ModelPage;
}

/** All pages of the vendor's list, up to a bound. */
export async function listModelsByHttp(upstream: HttpUpstream, listing: ModelListing, signal: AbortSignal): Promise<Model[]> {
  const { name, origin } = upstream;
  const models: Model[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < httpLimits.maxModelListPages; page++) {
    const reply = await upstream.get(listing.path(cursor), listing.headers, signal, httpLimits.modelListMs);
    if (!isSuccess(reply.status)) {
      await reply.body.return();
      throw new GatewayError("provider_error", `${origin} answered ${reply.status} when asked for its models`);
    }
    const text = await upstream.readJsonText(reply, { maxBytes: httpLimits.maxModelListBytes });
    const read = listing.read(readJson(text, origin), name);
    models.push(...read.models);
    if (read.next === undefined || read.next === cursor) break;
    cursor = read.next;
  }
  return models;
}

function readJson(text: string, origin: string): JsonValue {
  try {
    return parseJson(text, upstreamJsonLimits);
  } catch (error) {
    if (error instanceof JsonError)
      throw new GatewayError("provider_error", `${origin} sent a list of models that is not JSON`, { cause: error });
    throw error;
  }
}
