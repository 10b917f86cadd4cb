/** What our types of providers are called in the price data, and which service tiers a vendor sells at a part of its price. */

/** By our type. A type that is not here has no prices in the data: servers of one's own, and vendors that it does not list. */
export const vendorIds: Readonly<Record<string, string>> = {
  openai: "openai",
  "openai-responses": "openai",
  anthropic: "anthropic",
  gemini: "google",
  "gemini-grpc": "google",
  bedrock: "aws",
  "azure-openai": "azure",
  cohere: "cohere",
  groq: "groq",
  mistral: "mistral",
  deepseek: "deepseek",
  xai: "x-ai",
  "xai-grpc": "x-ai",
  openrouter: "openrouter",
  together: "together",
  fireworks: "fireworks",
  perplexity: "perplexity",
  cerebras: "cerebras",
  moonshot: "moonshotai",
  zai: "zai",
  zhipu: "zhipuai",
  baseten: "baseten",
  minimax: "minimax",
  novita: "novita",
};

/** Percent of the normal rates of tokens, by the data's vendor and our service tier. */
export const tierPercents: Readonly<Record<string, Readonly<Record<string, bigint>>>> = {
  // https://platform.openai.com/docs/guides/flex-processing: flex is priced as the Batch API, which is half.
  openai: { flex: 50n, batch: 50n },
  // https://docs.claude.com/en/docs/build-with-claude/batch-processing#pricing: half, cache rates too.
  anthropic: { batch: 50n },
  // https://ai.google.dev/gemini-api/docs/batch-api: half.
  google: { batch: 50n },
};
