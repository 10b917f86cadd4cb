/**
 * Vendors that speak OpenAI's Chat Completions, as data. Quirks are stated only where a vendor's documentation or its
 * refusals show them; what is not stated is what most such servers do (`compatibleQuirks`).
 */
import type { OpenAiChatQuirks } from "../codecs/openai-chat/index.ts";
import type { OpenAiEmbeddingsQuirks } from "../codecs/openai-embeddings/index.ts";
import type { TraitRule } from "./model-traits.ts";

export interface CompatibleVendor {
  readonly type: string;
  /** Codec paths are appended. Absent: must be configured. */
  readonly baseUrl?: string;
  /** Environment variables of the key, best first. */
  readonly keys: readonly string[];
  /** Runs on the user's machine: loopback is its own address, and no key is needed. */
  readonly local?: boolean;
  /** Path of the list of models; absent: `/models`; null: it has none. */
  readonly listPath?: string | null;
  /** Has `/embeddings`, with these differences. */
  readonly embeddings?: OpenAiEmbeddingsQuirks;
  readonly quirks?: OpenAiChatQuirks;
  /** Bare model names that are this vendor's alone. */
  readonly claims?: RegExp;
  readonly models?: readonly TraitRule[];
}

/** What most servers beside OpenAI have in common. */
export const compatibleQuirks: OpenAiChatQuirks = {
  maxTokensField: "max_tokens",
  developerRole: false,
  customTools: false,
  allowedTools: false,
  inputAudio: false,
  inputFiles: false,
  outputModalities: [],
  cacheField: "none",
};

/** Token ids are of one tokenizer: only servers that run the model of that tokenizer take them. */
const textsOnly: OpenAiEmbeddingsQuirks = { tokens: false };
/** Vectors as numbers: base64 is not documented. */
const numbersOnly: OpenAiEmbeddingsQuirks = { tokens: false, base64: false };

const openWeightSampling = ["top_k", "min_p", "repetition_penalty"] as const;

export const compatibleVendors: readonly CompatibleVendor[] = [
  {
    type: "groq",
    baseUrl: "https://api.groq.com/openai/v1",
    keys: ["GROQ_API_KEY"],
    // https://console.groq.com/docs/openai: these answer 400.
    quirks: {
      maxTokensField: "max_completion_tokens",
      reasoningField: "reasoning",
      refusedParameters: ["logprobs", "top_logprobs", "logit_bias", "name"],
    },
  },
  {
    type: "mistral",
    baseUrl: "https://api.mistral.ai/v1",
    keys: ["MISTRAL_API_KEY"],
    embeddings: { tokens: false, base64: false, dimensions: false },
    claims: /^(?:mistral-|ministral-|codestral|devstral-|magistral-|pixtral-|voxtral-|open-mi)[^/:]*$/,
    // https://docs.mistral.ai/api: fields it does not know answer 422; usage comes unasked.
    quirks: {
      toolIdLength: 9,
      streamOptions: false,
      maxTemperature: 1.5,
      refusedParameters: [
        "seed",
        "logprobs",
        "top_logprobs",
        "logit_bias",
        "store",
        "service_tier",
        "verbosity",
        "prompt_cache_key",
        "name",
      ],
    },
    models: [{ pattern: /^mistral-embed/, traits: { embeddingDimensions: 1_024, contextWindow: 8_192 } }],
  },
  {
    type: "deepseek",
    baseUrl: "https://api.deepseek.com/v1",
    keys: ["DEEPSEEK_API_KEY"],
    claims: /^deepseek-[^/:]*$/,
    // https://api-docs.deepseek.com/guides/thinking_mode: with tools, reasoning must come back; only json_object.
    quirks: { reasoningField: "reasoning_content", reasoningRequired: true, jsonSchema: false, imageUrls: false },
  },
  {
    type: "xai",
    baseUrl: "https://api.x.ai/v1",
    keys: ["XAI_API_KEY"],
    claims: /^grok-[^/:]*$/,
    // https://docs.x.ai/docs/api-reference: completion_tokens leave reasoning out.
    quirks: {
      maxTokensField: "max_completion_tokens",
      reasoningOutsideCompletion: true,
      reasoningField: "reasoning_content",
      sendUser: "user",
    },
    models: [
      { pattern: /^grok-(?:2|3|4-0|4$|code)/, traits: { reasoning: "none" } },
      { pattern: /^grok-3-mini/, traits: { reasoning: "effort" } },
      { pattern: /^grok-3/, traits: { contextWindow: 131_072 } },
      { pattern: /^grok-(?:4-0|4$|code)/, traits: { contextWindow: 256_000 } },
    ],
  },
  {
    type: "openrouter",
    baseUrl: "https://openrouter.ai/api/v1",
    keys: ["OPENROUTER_API_KEY"],
    embeddings: {},
    // https://openrouter.ai/docs/api-reference/parameters
    quirks: {
      reasoningField: "reasoning",
      nativeFields: openWeightSampling,
      inputAudio: true,
      inputFiles: true,
      outputModalities: ["image"],
      sendUser: "user",
      cacheField: "cache_control",
    },
  },
  {
    type: "together",
    baseUrl: "https://api.together.xyz/v1",
    keys: ["TOGETHER_API_KEY", "TOGETHER_AI_API_KEY"],
    embeddings: textsOnly,
    quirks: { nativeFields: openWeightSampling },
  },
  {
    type: "fireworks",
    baseUrl: "https://api.fireworks.ai/inference/v1",
    keys: ["FIREWORKS_API_KEY"],
    embeddings: textsOnly,
    quirks: { nativeFields: openWeightSampling, grammarField: "response_format", reasoningField: "reasoning_content", sendUser: "user" },
  },
  {
    type: "perplexity",
    baseUrl: "https://api.perplexity.ai",
    keys: ["PERPLEXITY_API_KEY", "PPLX_API_KEY"],
    listPath: null,
    claims: /^sonar(?:-[^/:]*)?$/,
    // https://docs.perplexity.ai/guides/chat-completions-guide: some streams end after finish_reason.
    quirks: { endMarkOptional: true, nativeFields: ["top_k"] },
  },
  {
    type: "cerebras",
    baseUrl: "https://api.cerebras.ai/v1",
    keys: ["CEREBRAS_API_KEY"],
    // https://inference-docs.cerebras.ai/resources/openai: these answer 400.
    quirks: {
      maxTokensField: "max_completion_tokens",
      refusedParameters: ["frequency_penalty", "presence_penalty", "logit_bias"],
      sendUser: "user",
    },
  },
  {
    type: "nvidia",
    baseUrl: "https://integrate.api.nvidia.com/v1",
    keys: ["NVIDIA_API_KEY"],
    embeddings: textsOnly,
  },
  {
    type: "deepinfra",
    baseUrl: "https://api.deepinfra.com/v1/openai",
    keys: ["DEEPINFRA_API_KEY", "DEEPINFRA_TOKEN"],
    embeddings: numbersOnly,
    quirks: { nativeFields: openWeightSampling },
  },
  {
    type: "moonshot",
    baseUrl: "https://api.moonshot.ai/v1",
    keys: ["MOONSHOT_API_KEY"],
    claims: /^(?:kimi-|moonshot-)[^/:]*$/,
    // https://platform.moonshot.ai/docs: thinking models refuse tool calls whose reasoning is missing; temperature up to 1.
    quirks: { reasoningField: "reasoning_content", reasoningRequired: true, maxTemperature: 1, imageUrls: false },
  },
  {
    type: "zai",
    baseUrl: "https://api.z.ai/api/paas/v4",
    keys: ["ZAI_API_KEY", "Z_AI_API_KEY"],
    listPath: null,
    claims: /^glm-[^/:]*$/,
    // https://docs.z.ai/api-reference/llm/chat-completion: one stop text, temperature up to 1, only json_object.
    quirks: { reasoningField: "reasoning_content", jsonSchema: false, maxStops: 1, maxTemperature: 1 },
  },
  {
    type: "zhipu",
    baseUrl: "https://open.bigmodel.cn/api/paas/v4",
    keys: ["ZHIPU_API_KEY", "ZHIPUAI_API_KEY"],
    listPath: null,
    embeddings: { tokens: false, encodingFormat: false, maxInputs: 64 },
    claims: /^(?:glm-|embedding-[23]$)[^/:]*$/,
    quirks: { reasoningField: "reasoning_content", jsonSchema: false, maxStops: 1, maxTemperature: 1 },
  },
  {
    type: "dashscope",
    baseUrl: "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
    // https://help.aliyun.com/zh/model-studio/text-embedding-synchronous-api: ten texts, numbers only.
    keys: ["DASHSCOPE_API_KEY"],
    listPath: null,
    embeddings: { tokens: false, base64: false, maxInputs: 10 },
    claims: /^(?:qwen|qwq-|qvq-)[^/:]*$/,
    quirks: { nativeFields: ["top_k", "repetition_penalty"], inputAudio: true },
    models: [{ pattern: /^text-embedding-v[34]/, traits: { embeddingDimensions: 1_024 } }],
  },
  {
    type: "huggingface",
    baseUrl: "https://router.huggingface.co/v1",
    keys: ["HF_TOKEN", "HUGGINGFACE_API_KEY"],
  },
  {
    type: "sambanova",
    baseUrl: "https://api.sambanova.ai/v1",
    keys: ["SAMBANOVA_API_KEY"],
    embeddings: numbersOnly,
    quirks: { nativeFields: ["top_k"] },
  },
  {
    type: "novita",
    baseUrl: "https://api.novita.ai/openai/v1",
    keys: ["NOVITA_API_KEY"],
    embeddings: numbersOnly,
    quirks: { nativeFields: openWeightSampling },
  },
  {
    type: "hyperbolic",
    baseUrl: "https://api.hyperbolic.xyz/v1",
    keys: ["HYPERBOLIC_API_KEY"],
    quirks: { nativeFields: openWeightSampling },
  },
  {
    type: "nebius",
    baseUrl: "https://api.tokenfactory.nebius.com/v1",
    keys: ["NEBIUS_API_KEY"],
    embeddings: numbersOnly,
    quirks: { nativeFields: ["top_k"] },
  },
  {
    type: "siliconflow",
    baseUrl: "https://api.siliconflow.com/v1",
    keys: ["SILICONFLOW_API_KEY"],
    embeddings: textsOnly,
    quirks: { nativeFields: ["top_k", "min_p"], reasoningField: "reasoning_content" },
  },
  {
    type: "github-models",
    baseUrl: "https://models.github.ai/inference",
    // GITHUB_TOKEN stands in many environments for other ends.
    keys: ["GITHUB_MODELS_TOKEN"],
    listPath: null,
    embeddings: {},
    quirks: { maxTokensField: "max_completion_tokens", developerRole: true },
  },
  {
    type: "ai21",
    baseUrl: "https://api.ai21.com/studio/v1",
    keys: ["AI21_API_KEY"],
    listPath: null,
    claims: /^jamba-[^/:]*$/,
    quirks: { jsonSchema: false, imageUrls: false },
  },
  {
    type: "baseten",
    baseUrl: "https://inference.baseten.co/v1",
    keys: ["BASETEN_API_KEY"],
  },
  {
    type: "vercel",
    baseUrl: "https://ai-gateway.vercel.sh/v1",
    keys: ["AI_GATEWAY_API_KEY", "VERCEL_AI_GATEWAY_API_KEY"],
    embeddings: {},
    quirks: { reasoningField: "reasoning" },
  },
  {
    type: "minimax",
    baseUrl: "https://api.minimax.io/v1",
    keys: ["MINIMAX_API_KEY"],
    listPath: null,
    claims: /^MiniMax-[^/:]*$/i,
    quirks: { maxTemperature: 1 },
  },
  {
    type: "ollama",
    baseUrl: "http://127.0.0.1:11434/v1",
    keys: ["OLLAMA_API_KEY"],
    local: true,
    embeddings: textsOnly,
    // https://github.com/ollama/ollama/blob/main/docs/openai.md: images as data only.
    quirks: { imageUrls: false, reasoningField: "reasoning" },
  },
  {
    type: "llamacpp",
    baseUrl: "http://127.0.0.1:8080/v1",
    keys: ["LLAMA_API_KEY"],
    local: true,
    embeddings: textsOnly,
    quirks: { nativeFields: ["top_k", "min_p"], reasoningField: "reasoning_content", inputAudio: true },
  },
  {
    type: "vllm",
    baseUrl: "http://127.0.0.1:8000/v1",
    keys: ["VLLM_API_KEY"],
    local: true,
    embeddings: {},
    quirks: { nativeFields: openWeightSampling, reasoningField: "reasoning_content", inputAudio: true },
  },
  {
    type: "lmstudio",
    baseUrl: "http://127.0.0.1:1234/v1",
    keys: ["LM_API_TOKEN", "LMSTUDIO_API_KEY"],
    local: true,
    embeddings: textsOnly,
    quirks: { nativeFields: ["top_k"], imageUrls: false },
  },
  // Any other server, by its address.
  { type: "openai-compatible", keys: [], embeddings: {} },
];
