/** What the RPCs take from their clients (reliability.md 2.8). Values come from the configuration. */
import type { JsonLimits } from "../core/json.ts";

export interface RpcLimits {
  /** Most bytes of one message of the inference service, after decompression. */
  readonly inferenceMessageBytes: number;
  /** The same for health and reflection. */
  readonly controlMessageBytes: number;
  /** Most bytes of one answered message. */
  readonly answerMessageBytes: number;
  /** Longest deadline of a client; a longer one counts as this. */
  readonly maxTimeoutMs: number;
  /** For messages in JSON. */
  readonly json: JsonLimits;
}
