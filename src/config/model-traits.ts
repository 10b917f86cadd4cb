import type { ModelTraits } from "../core/target.ts";
import type { ModelOverride } from "./schema.ts";

/** What the operator wrote about a model, in core's words; only what was written. */
export function readModelTraits(override: ModelOverride): ModelTraits {
  const traits = {
    contextWindow: override.context_window,
    maxOutputTokens: override.max_output_tokens,
    embeddingDimensions: override.embedding_dimensions,
    sampling: override.sampling,
    midSystem: override.mid_system,
    prefill: override.prefill,
    structuredOutput: override.structured_output,
    tools: override.tools,
    vision: override.vision,
    reasoning: override.reasoning,
    imageUrls: override.image_urls,
    toolResultImages: override.tool_result_images,
  };
  return Object.fromEntries(Object.entries(traits).filter(([, value]) => value !== undefined));
}
