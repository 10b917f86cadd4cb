/** The innermost step of Embed. */
import { create } from "@bufbuild/protobuf";
import type { EmbedRequest, EmbedResponse } from "../../gen/dragoman/v1/embed_pb.ts";
import { type Usage, UsageBasis, UsageSchema } from "../../gen/dragoman/v1/usage_pb.ts";
import { type Call, stopReason } from "../core/call.ts";
import { GatewayError } from "../core/error.ts";
import { TokenEstimate } from "../core/usage.ts";
import { type AttemptOptions, type RunningAttempt, tryTargets } from "./attempts.ts";

export function attemptEmbed(options: AttemptOptions): (request: EmbedRequest, call: Call) => Promise<EmbedResponse> {
  return (request, call) => tryTargets(call, call.maxAttempts, options, (running) => embedOnce(request, running));
}

async function embedOnce(request: EmbedRequest, running: RunningAttempt): Promise<EmbedResponse> {
  const { provider, target, call } = running;
  try {
    if (provider.embed === undefined) throw new GatewayError("unsupported", `${provider.name} does not embed`, { undispatched: true });
    const response = await provider.embed(request, target, call);
    const wanted = request.inputs.length * Math.max(1, request.types.length);
    if (response.embeddings.length !== wanted) {
      throw new GatewayError("provider_error", `${provider.name} gave ${response.embeddings.length} vectors for ${wanted}`);
    }
    response.usage = usageOf(response.usage, request);
    if (response.servedModel === "") response.servedModel = target.model;
    response.provider = target.provider;
    response.target = target.id;
    response.requestId = call.requestId;
    response.requestedModel = request.model;
    response.usedFallback = target !== call.targets[0];
    if (response.dimensions === 0) response.dimensions = response.embeddings[0]?.values.length ?? 0;
    running.markFirstContent();
    running.end(response.usage);
    return response;
  } catch (thrown) {
    const error = call.signal.aborted ? stopReason(call.signal) : GatewayError.from(thrown);
    running.end(running.maybeBilled(error) ? usageOf(undefined, request) : undefined, error);
    throw error;
  }
}

function usageOf(said: Usage | undefined, request: EmbedRequest): Usage {
  if (said?.inputTokens !== undefined) return said;
  const estimate = new TokenEstimate();
  for (const { input } of request.inputs) {
    if (input.case === "text") estimate.text(input.value);
    else if (input.case === "tokens") estimate.tokens(input.value.ids.length);
    else for (const { part } of input.value?.parts ?? []) if (part.case === "text") estimate.text(part.value);
  }
  return create(UsageSchema, { inputTokens: estimate.count, basis: UsageBasis.ESTIMATED });
}
