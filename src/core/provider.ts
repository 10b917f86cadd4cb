/** An upstream vendor: a codec's upstream half, an address, a credential and quirks. */
import type { EmbedRequest, EmbedResponse } from "../../gen/dragoman/v1/embed_pb.ts";
import type { GenerateRequest } from "../../gen/dragoman/v1/generate_pb.ts";
import type { CountTokensResponse } from "../../gen/dragoman/v1/inference_service_pb.ts";
import type { Model } from "../../gen/dragoman/v1/model_pb.ts";
import type { AttemptCall } from "./call.ts";
import type { EventBatch } from "./event.ts";
import type { ModelTraits, Target } from "./target.ts";

export type EmbedReply = EmbedResponse & {
  /**
   * The body for a client that speaks the upstream's format, as the upstream sent it, in order; only where the call came
   * with `wire`. `embeddings` is empty then: nobody has read the vectors.
   */
  readonly raw?: readonly Uint8Array[];
};

export interface Provider {
  /** As configured; the first half of `provider/model`. */
  readonly name: string;
  /** Where it is asked: scheme, host and port; absent for models in this process. */
  readonly origin?: string;
  /** True for the gateway's own models: they are listed as `provider/model`, and never take a vendor's bare id. */
  readonly listsFullNames?: boolean;
  /**
   * Batches of events, one per upstream read: `started` first, no `settled`, sequences unset. Throws GatewayError for
   * every failure, before or during the stream; open blocks are ended as incomplete before it throws. Leaving the
   * loop, or `call.signal`, closes the upstream's socket.
   */
  generate?(request: GenerateRequest, target: Target, call: AttemptCall): AsyncIterable<EventBatch>;
  /** One embedding per input and type, in input order. Throws GatewayError. */
  embed?(request: EmbedRequest, target: Target, call: AttemptCall): Promise<EmbedReply>;
  /** The vendor's own count; absent where it has none. Throws GatewayError. */
  countTokens?(request: GenerateRequest, target: Target, call: AttemptCall): Promise<CountTokensResponse>;
  /** What the vendor offers now. Throws GatewayError where it does not answer. */
  listModels?(signal: AbortSignal): Promise<Model[]>;
  /** What is known of a model without asking. */
  traits(model: string): ModelTraits;
  /** Whether a bare model id is this vendor's by its name alone, for the time before its list is known. */
  claims?(model: string): boolean;
  /** Closes connections. No calls after it. */
  close(): Promise<void>;
}
