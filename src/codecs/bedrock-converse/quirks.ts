/** Where models behind the Converse API differ, as data in the provider's table. */

/** How a model is told to think; all but effort are members of `additionalModelRequestFields`. */
export type ReasoningStyle =
  /** Claude: `thinking {type, budget_tokens}`, and `outputConfig.effort`. */
  | "thinking"
  /** Nova: `reasoningConfig {type, maxReasoningEffort}`. */
  | "reasoningConfig"
  /** gpt-oss: `reasoning_effort`. */
  | "reasoning_effort";

export interface BedrockModelQuirks {
  readonly reasoning: ReasoningStyle;
  /** Where `top_k` stands inside `additionalModelRequestFields`; undefined: nowhere. */
  readonly topK: readonly string[] | undefined;
  /** Which forced choices it takes. */
  readonly forcedChoices: readonly ("any" | "tool")[];
  /** Takes Claude's `tool_choice.disable_parallel_tool_use` among the additional fields. */
  readonly singleCalls: boolean;
  /** Takes `status` in tool results. */
  readonly resultStatus: boolean;
  /** Takes cache points, and how long they may be kept: `ttl` only where true. */
  readonly cachePoints: boolean;
  readonly cacheLifetimes: boolean;
  /** Family of the signatures of its reasoning. */
  readonly signatureFamily: string;
}

export interface BedrockConverseQuirks {
  /** By the model's id, which may be an ARN. */
  readonly model: (id: string) => BedrockModelQuirks;
}

/** Claude, which is also what an id that names no model most likely stands for. */
export const claudeQuirks: BedrockModelQuirks = {
  reasoning: "thinking",
  topK: ["top_k"],
  forcedChoices: ["any", "tool"],
  singleCalls: true,
  resultStatus: true,
  cachePoints: true,
  cacheLifetimes: true,
  signatureFamily: "anthropic",
};

export const defaultQuirks: BedrockConverseQuirks = { model: () => claudeQuirks };
