/** Counting the input of a call: `POST /v1/responses/input_tokens` (openai 7.55, resources/responses/input-tokens). */
import { create } from "@bufbuild/protobuf";
import { type CountTokensResponse, CountTokensResponseSchema } from "../../../gen/dragoman/v1/inference_service_pb.ts";
import { UsageBasis } from "../../../gen/dragoman/v1/usage_pb.ts";
import type { TokenCountCodec } from "../../core/dialect.ts";
import { isJsonObject, tryParseJson, upstreamJsonLimits, type WritableObject, writeJson } from "../../core/json.ts";
import { tokenCount } from "../../core/usage.ts";
import type { OpenAiResponsesQuirks } from "./quirks.ts";
import { brokenAnswer } from "./read-error.ts";
import { path } from "./wire.ts";
import { writeBody } from "./write-request.ts";

const countedFields = [
  "model",
  "instructions",
  "input",
  "tools",
  "tool_choice",
  "parallel_tool_calls",
  "text",
  "reasoning",
  "conversation",
  "previous_response_id",
  "truncation",
];

/** JSON text. */
export function writeCountResponse({ inputTokens }: CountTokensResponse): string {
  return writeJson({ object: "response.input_tokens", input_tokens: inputTokens });
}

export function createTokenCountCodec(quirks: OpenAiResponsesQuirks): TokenCountCodec {
  return {
    writeRequest: (request, target) => {
      // What does not count is not lost.
      const { sampling: _sampling, cache: _cache, attribution: _attribution, ...counted } = request;
      const { body, report, state } = writeBody({ ...counted, metadata: {}, serviceTier: 0 }, target, quirks);
      const kept: WritableObject = {};
      for (const name of countedFields) if (body[name] !== undefined) kept[name] = body[name];
      return { path: `${path}/input_tokens`, headers: {}, body: writeJson(kept), report, state };
    },
    readResponse: (body, provider) => {
      const inputTokens = tokenCount(inputTokensOf(body));
      if (inputTokens === undefined) throw brokenAnswer(provider, "its answer holds no count of tokens", false);
      return create(CountTokensResponseSchema, { inputTokens, basis: UsageBasis.PROVIDER });
    },
  };
}

function inputTokensOf(body: string): unknown {
  const value = tryParseJson(body, upstreamJsonLimits);
  return isJsonObject(value) ? value.input_tokens : undefined;
}
