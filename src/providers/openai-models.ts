/** OpenAI's models, wherever they run. https://platform.openai.com/docs/models */
import type { TraitRule } from "./model-traits.ts";

export const openAiModels: readonly TraitRule[] = [
  {
    pattern: /^gpt-3\.5-turbo/,
    traits: { contextWindow: 16_385, maxOutputTokens: 4_096, reasoning: "none", vision: false, structuredOutput: false },
  },
  {
    pattern: /^gpt-4(?:-0613|-0314)?$/,
    traits: { contextWindow: 8_192, maxOutputTokens: 8_192, reasoning: "none", vision: false, structuredOutput: false },
  },
  {
    pattern: /^gpt-4-turbo/,
    traits: { contextWindow: 128_000, maxOutputTokens: 4_096, reasoning: "none", vision: true, structuredOutput: false },
  },
  {
    pattern: /^gpt-4o/,
    traits: { contextWindow: 128_000, maxOutputTokens: 16_384, reasoning: "none", vision: true, structuredOutput: true },
  },
  { pattern: /^chatgpt-4o/, traits: { contextWindow: 128_000, maxOutputTokens: 16_384, reasoning: "none", vision: true } },
  {
    pattern: /^gpt-4\.1/,
    traits: { contextWindow: 1_047_576, maxOutputTokens: 32_768, reasoning: "none", vision: true, structuredOutput: true },
  },
  // Reasoning models refuse temperature, top_p, penalties and log probabilities.
  { pattern: /^o\d/, traits: { contextWindow: 200_000, maxOutputTokens: 100_000, reasoning: "effort", sampling: false } },
  { pattern: /^o1-(?:mini|preview)/, traits: { contextWindow: 128_000, reasoning: "none" } },
  {
    pattern: /^gpt-5/,
    traits: { contextWindow: 400_000, maxOutputTokens: 128_000, reasoning: "effort", vision: true, structuredOutput: true },
  },
  // From 5.1 on they take sampling while they do not reason, which is their default.
  { pattern: /^gpt-5(?:-mini|-nano|-pro|-codex)?(?:-\d{4}-\d{2}-\d{2})?$/, traits: { sampling: false } },
  { pattern: /^gpt-5(?:\.\d)?-chat/, traits: { contextWindow: 128_000, maxOutputTokens: 16_384, reasoning: "none", sampling: true } },
  { pattern: /^gpt-5\.4(?:-pro)?(?:-\d|$)/, traits: { contextWindow: 1_050_000 } },
  { pattern: /^gpt-oss/, traits: { contextWindow: 131_072, reasoning: "effort" } },
  { pattern: /^text-embedding-3-small/, traits: { contextWindow: 8_192, embeddingDimensions: 1_536 } },
  { pattern: /^text-embedding-3-large/, traits: { contextWindow: 8_192, embeddingDimensions: 3_072 } },
  { pattern: /^text-embedding-ada-002/, traits: { contextWindow: 8_192, embeddingDimensions: 1_536 } },
];
