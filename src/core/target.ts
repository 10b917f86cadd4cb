/** Where one try goes: a provider, the model's name there, and what is known of that model. */
import type { EffortLevel } from "./effort.ts";

/**
 * What is known of a model at its provider. Absent means: nothing is known, do what most models of the vendor do.
 * Facts that depend on the model live here, as data in a provider's table; never in a condition of a codec.
 */
export interface ModelTraits {
  /** Tokens of input and output together. */
  readonly contextWindow?: number;
  readonly maxOutputTokens?: number;
  /** Length of the vectors of an embedding model. */
  readonly embeddingDimensions?: number;
  /** Takes temperature, top_p and top_k. */
  readonly sampling?: boolean;
  /** Takes system messages after the first user message. */
  readonly midSystem?: boolean;
  /** Continues a final assistant message. */
  readonly prefill?: boolean;
  /** Follows a JSON schema by itself. */
  readonly structuredOutput?: boolean;
  readonly tools?: boolean;
  readonly vision?: boolean;
  /** How the model is told to think: an effort, a budget of tokens, either, or not at all. */
  readonly reasoning?: "none" | "effort" | "budget" | "both" | "adaptive";
  /** Decides by itself how much to think (Anthropic `adaptive`), beside or instead of a budget. */
  readonly adaptiveReasoning?: boolean;
  /** Cannot be told not to think. */
  readonly alwaysReasons?: boolean;
  /** The efforts it takes, least first; absent: all of the vendor's. */
  readonly efforts?: readonly EffortLevel[];
  /** Least and most tokens to think with, where thinking is not switched off. */
  readonly reasoningBudget?: { readonly min: number; readonly max: number };
  /** Takes temperature and top_p together. */
  readonly temperatureWithTopP?: boolean;
  /** Takes images by URL. */
  readonly imageUrls?: boolean;
  /** Takes images inside tool results. */
  readonly toolResultImages?: boolean;
  /** Is told for each image how closely to look. */
  readonly mediaResolution?: boolean;
}

export interface Target {
  /** Unique name in logs and headers: `<provider>/<upstream model>`. */
  readonly id: string;
  /** Configured provider's name. */
  readonly provider: string;
  /** The model's name at the provider. */
  readonly model: string;
  readonly traits: ModelTraits;
}
