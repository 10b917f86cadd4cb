/** Counts the tokens of a call. https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_CountTokens.html */
import { create } from "@bufbuild/protobuf";
import type { GenerateRequest } from "../../../gen/dragoman/v1/generate_pb.ts";
import { type CountTokensResponse, CountTokensResponseSchema } from "../../../gen/dragoman/v1/inference_service_pb.ts";
import { UsageBasis } from "../../../gen/dragoman/v1/usage_pb.ts";
import type { TokenCountCodec, UpstreamRequest } from "../../core/dialect.ts";
import { GatewayError } from "../../core/error.ts";
import { writeJson } from "../../core/json.ts";
import type { Target } from "../../core/target.ts";
import { tokenCount } from "../../core/usage.ts";
import type { BedrockConverseQuirks } from "./quirks.ts";
import { parseBody } from "./read-response.ts";
import { unknownMembers } from "./wire.ts";
import { modelPath, writeCall } from "./write-request.ts";

const known = new Set(["inputTokens"]);

export function createTokenCounting(quirks: BedrockConverseQuirks): TokenCountCodec {
  return {
    writeRequest: (request, target) => writeCountRequest(request, target, quirks),
    readResponse,
  };
}

/** What counts, of the call as it would be sent. */
function writeCountRequest(request: GenerateRequest, target: Target, quirks: BedrockConverseQuirks): UpstreamRequest {
  const { body, report, state } = writeCall(request, target, quirks);
  const { messages, system, toolConfig, additionalModelRequestFields } = body;
  const counted = { input: { converse: { messages, system, toolConfig, additionalModelRequestFields } } };
  return { path: modelPath(target.model, "count-tokens"), headers: {}, body: writeJson(counted), report, state };
}

function readResponse(body: string, provider: string): CountTokensResponse {
  const answer = parseBody(body, provider);
  const inputTokens = tokenCount(answer.inputTokens);
  if (inputTokens === undefined) throw new GatewayError("provider_error", `provider ${provider} sent no count of tokens`);
  return create(CountTokensResponseSchema, { inputTokens, basis: UsageBasis.PROVIDER, extrasJson: unknownMembers(answer, known) });
}
