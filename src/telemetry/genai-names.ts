/**
 * Names of OpenTelemetry's conventions for generative AI, with the general ones that spans of this gateway use. Those of
 * gen_ai are in development and still move, so they stand here and nowhere else:
 * https://opentelemetry.io/docs/specs/semconv/gen-ai/
 */

export const names = {
  operation: "gen_ai.operation.name",
  provider: "gen_ai.provider.name",
  conversation: "gen_ai.conversation.id",
  outputType: "gen_ai.output.type",

  requestModel: "gen_ai.request.model",
  requestMaxTokens: "gen_ai.request.max_tokens",
  requestTemperature: "gen_ai.request.temperature",
  requestTopP: "gen_ai.request.top_p",
  requestTopK: "gen_ai.request.top_k",
  requestSeed: "gen_ai.request.seed",
  requestStopSequences: "gen_ai.request.stop_sequences",
  requestFrequencyPenalty: "gen_ai.request.frequency_penalty",
  requestPresencePenalty: "gen_ai.request.presence_penalty",
  requestChoices: "gen_ai.request.choice.count",
  requestStream: "gen_ai.request.stream",
  requestEncodings: "gen_ai.request.encoding_formats",
  embeddingDimensions: "gen_ai.embeddings.dimension.count",

  responseId: "gen_ai.response.id",
  responseModel: "gen_ai.response.model",
  finishReasons: "gen_ai.response.finish_reasons",
  timeToFirstChunk: "gen_ai.response.time_to_first_chunk",

  inputTokens: "gen_ai.usage.input_tokens",
  outputTokens: "gen_ai.usage.output_tokens",
  cacheReadTokens: "gen_ai.usage.cache_read.input_tokens",
  cacheCreationTokens: "gen_ai.usage.cache_creation.input_tokens",
  reasoningTokens: "gen_ai.usage.reasoning.output_tokens",

  inputMessages: "gen_ai.input.messages",
  outputMessages: "gen_ai.output.messages",
  systemInstructions: "gen_ai.system_instructions",
  toolDefinitions: "gen_ai.tool.definitions",

  serverAddress: "server.address",
  serverPort: "server.port",
  errorType: "error.type",
  httpMethod: "http.request.method",
  httpRoute: "http.route",
  httpStatus: "http.response.status_code",
  rpcService: "rpc.service",
  rpcMethod: "rpc.method",

  requestId: "dragoman.request_id",
  surface: "dragoman.surface",
  dialect: "dragoman.dialect",
  attempts: "dragoman.attempts",
  attempt: "dragoman.attempt",
  target: "dragoman.target",
  usageId: "dragoman.usage_id",
} as const;

/** What conventions call a vendor, by our name of its type; any other is called as we call it. */
export const providerNames: Readonly<Record<string, string>> = {
  bedrock: "aws.bedrock",
  "openai-responses": "openai",
  "azure-openai": "azure.ai.openai",
  gemini: "gcp.gemini",
  "gemini-grpc": "gcp.gemini",
  mistral: "mistral_ai",
  xai: "x_ai",
  "xai-grpc": "x_ai",
  moonshot: "moonshot_ai",
};

/** What a provider's operation is called where that is not `chat`, by the conventions' name of the provider. */
export const operationNames: Readonly<Record<string, string>> = {
  "gcp.gemini": "generate_content",
};
