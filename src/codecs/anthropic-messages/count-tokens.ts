/** Counting the tokens of a call: POST /v1/messages/count_tokens. https://platform.claude.com/docs/en/api/messages-count-tokens */
import { create } from "@bufbuild/protobuf";
import { ServiceTier } from "../../../gen/dragoman/v1/call_pb.ts";
import { type GenerateRequest, SamplingSchema } from "../../../gen/dragoman/v1/generate_pb.ts";
import { type CountTokensResponse, CountTokensResponseSchema } from "../../../gen/dragoman/v1/inference_service_pb.ts";
import { UsageBasis } from "../../../gen/dragoman/v1/usage_pb.ts";
import type { CountTokensDialect, TokenCountCodec } from "../../core/dialect.ts";
import { GatewayError } from "../../core/error.ts";
import { isJsonObject, mergeExtras, tryParseJson, upstreamJsonLimits, type WritableObject, writeJson } from "../../core/json.ts";
import { tokenCount } from "../../core/usage.ts";
import { clientPath } from "./client-path.ts";
import type { AnthropicMessagesQuirks } from "./quirks.ts";
import { readRequest } from "./read-request.ts";
import { formatName, unknownMembers } from "./wire.ts";
import { writeError } from "./write-error.ts";
import { writeBody } from "./write-request.ts";

/** Members of a messages request that the endpoint refuses: it counts the input alone. */
const answerMembers = [
  "max_tokens",
  "stream",
  "temperature",
  "top_p",
  "top_k",
  "stop_sequences",
  "metadata",
  "service_tier",
  "container",
  "inference_geo",
  "diagnostics",
  "fallbacks",
  "fallback_credit_token",
  "thread",
] as const;

export const anthropicCountTokensDialect = {
  name: formatName,
  readRequest,
  writeResponse: writeCount,
  writeError,
  clientPath,
} satisfies CountTokensDialect;

export function createTokenCountCodec(quirks: AnthropicMessagesQuirks): TokenCountCodec {
  return {
    writeRequest: (request, target) => {
      const { body, headers, report, state } = writeBody(withoutAnswer(request), target, { stream: false, isLimited: false }, quirks);
      for (const name of answerMembers) delete body[name];
      return { path: `${quirks.path}/count_tokens`, headers, body: writeJson(body), report, state };
    },
    readResponse: readCount,
  };
}

/** What only shapes the answer is no loss of the count, and so must not be reported as one. The limit bounds a budget of thinking. */
function withoutAnswer(request: GenerateRequest): GenerateRequest {
  const { sampling: _sampling, ...rest } = request;
  const maxOutputTokens = request.sampling?.maxOutputTokens;
  return {
    ...rest,
    ...(maxOutputTokens === undefined ? {} : { sampling: create(SamplingSchema, { maxOutputTokens }) }),
    metadata: {},
    // `speed` is taken by the endpoint, tiers are not.
    serviceTier: request.serviceTier === ServiceTier.FAST ? ServiceTier.FAST : ServiceTier.UNSPECIFIED,
  };
}

/** Throws provider_error where there is no count. */
function readCount(body: string, provider: string): CountTokensResponse {
  const value = tryParseJson(body, upstreamJsonLimits);
  const inputTokens = isJsonObject(value) ? tokenCount(value.input_tokens) : undefined;
  if (!isJsonObject(value) || inputTokens === undefined) {
    throw new GatewayError("provider_error", `provider ${provider} sent a count of tokens without input_tokens`);
  }
  const extrasJson = unknownMembers(value, new Set(["input_tokens"]));
  return create(CountTokensResponseSchema, { inputTokens, basis: UsageBasis.PROVIDER, extrasJson });
}

function writeCount({ inputTokens, extrasJson }: CountTokensResponse): string {
  const written: WritableObject = { input_tokens: inputTokens };
  mergeExtras(written, extrasJson[formatName]);
  return writeJson(written);
}
