/** What the gateway does, as the RPCs and the HTTP surfaces call it: the assembled pipeline. */
import type { EmbedRequest } from "../../gen/dragoman/v1/embed_pb.ts";
import type { CompleteResponse, GenerateRequest } from "../../gen/dragoman/v1/generate_pb.ts";
import type { CountTokensRequest, CountTokensResponse } from "../../gen/dragoman/v1/inference_service_pb.ts";
import type { ListModelsRequest, ListModelsResponse } from "../../gen/dragoman/v1/model_pb.ts";
import type { Call } from "./call.ts";
import type { EventBatch } from "./event.ts";
import type { EmbedReply } from "./provider.ts";

export interface CompletedCall {
  readonly response: CompleteResponse;
  /**
   * The body for a client that speaks the upstream's format, as the upstream sent it, in place of what its dialect would
   * make of `response`; only where the call came with `wire`.
   */
  readonly raw?: Uint8Array;
}

export interface Operations {
  /**
   * Events in the contract's order, sequences set, `settled` last; the first batch comes at the commit point, so a
   * failure before it can still be answered with a status. Throws GatewayError with `settled`, `committed` and
   * `lastSequence` filled in. Leaving the loop early cancels the upstream.
   */
  generate(request: GenerateRequest, call: Call): AsyncIterable<EventBatch>;
  /** The same, folded. */
  complete(request: GenerateRequest, call: Call): Promise<CompletedCall>;
  embed(request: EmbedRequest, call: Call): Promise<EmbedReply>;
  countTokens(request: CountTokensRequest, call: Call): Promise<CountTokensResponse>;
  listModels(request: ListModelsRequest, call: Call): Promise<ListModelsResponse>;
}
