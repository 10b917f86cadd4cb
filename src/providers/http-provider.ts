/**
 * A provider that is reached by HTTP: a codec's upstream half, an origin and a credential. What all vendors share; what
 * sets one apart is in the options.
 */
import type { AttemptCall } from "../core/call.ts";
import type { EmbedCodec, UpstreamCodec } from "../core/dialect.ts";
import type { Provider } from "../core/provider.ts";
import type { ModelTraits } from "../core/target.ts";
import { countTokensByHttp } from "./count-tokens-by-http.ts";
import { embedByHttp } from "./embed-by-http.ts";
import { generateByHttp } from "./generate-by-http.ts";
import { HttpUpstream, type HttpUpstreamOptions } from "./http-upstream.ts";
import type { MediaFetching } from "./inline-media.ts";
import { listModelsByHttp, type ModelListing } from "./list-models-by-http.ts";

export interface HttpProviderOptions extends HttpUpstreamOptions {
  readonly codec?: UpstreamCodec | undefined;
  /** Further formats that the vendor speaks as well: for clients that speak the same, and where a model speaks no other. */
  readonly otherCodecs?: readonly UpstreamCodec[] | undefined;
  readonly embedCodec?: EmbedCodec | undefined;
  readonly listing?: ModelListing | undefined;
  /** Absent: what a target does not take by its address is refused. */
  readonly media?: MediaFetching | undefined;
  readonly traits: (model: string) => ModelTraits;
  readonly claims?: ((model: string) => boolean) | undefined;
}

/** Throws Error naming a header or credential that cannot be sent. */
export function createHttpProvider(options: HttpProviderOptions): Provider {
  const upstream = new HttpUpstream(options);
  const { codec, otherCodecs = [], embedCodec, listing, media, claims } = options;
  // Any format that the vendor counts in will do: counts are of the call, not of its bytes.
  const counter = [codec, ...otherCodecs].find((one) => one?.counting !== undefined);
  const choose = (call: AttemptCall, usual: UpstreamCodec) => otherCodecs.find(({ format }) => format === call.dialect) ?? usual;
  return {
    name: options.name,
    traits: options.traits,
    ...(codec === undefined
      ? {}
      : { generate: (request, target, call) => generateByHttp({ upstream, codec: choose(call, codec), media }, request, target, call) }),
    ...(counter?.counting === undefined ? {} : { countTokens: countTokensByHttp(upstream, counter.counting, counter) }),
    ...(embedCodec === undefined ? {} : { embed: (request, target, call) => embedByHttp(upstream, embedCodec, request, target, call) }),
    ...(listing === undefined ? {} : { listModels: (signal) => listModelsByHttp(upstream, listing, signal) }),
    ...(claims === undefined ? {} : { claims }),
    close: () => options.client.close(),
  };
}
