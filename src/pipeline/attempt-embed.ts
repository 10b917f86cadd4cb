/** The innermost step of Embed. */
import { create } from "@bufbuild/protobuf";
import { ServiceTier } from "../../gen/dragoman/v1/call_pb.ts";
import type { EmbedRequest } from "../../gen/dragoman/v1/embed_pb.ts";
import { type Usage, UsageBasis, UsageSchema } from "../../gen/dragoman/v1/usage_pb.ts";
import { type Call, stopReason, throwIfStopped } from "../core/call.ts";
import { GatewayError } from "../core/error.ts";
import type { EmbedReply } from "../core/provider.ts";
import { TokenEstimate } from "../core/usage.ts";
import { type AttemptFacts, type AttemptOptions, type RunningAttempt, tryTargets } from "./attempts.ts";

export function attemptEmbed(options: AttemptOptions): (request: EmbedRequest, call: Call) => Promise<EmbedReply> {
  return (request, call) => {
    const facts = factsOf(request);
    return tryTargets(call, facts, options, (running) => embedOnce(request, facts, running));
  };
}

function factsOf(request: EmbedRequest): AttemptFacts {
  let estimate: number | undefined;
  return {
    requestedModel: request.model,
    estimateInput() {
      estimate ??= countInput(request);
      return estimate;
    },
    maxOutputTokens: 0,
    billedBy: () => ({ rates: [], serviceTier: ServiceTier.UNSPECIFIED }),
  };
}

async function embedOnce(request: EmbedRequest, facts: AttemptFacts, running: RunningAttempt): Promise<EmbedReply> {
  const { provider, target, call } = running;
  try {
    const reserving = running.begin(facts);
    if (reserving !== undefined) await reserving;
    throwIfStopped(call);
    if (provider.embed === undefined) throw new GatewayError("unsupported", `${provider.name} does not embed`, { undispatched: true });
    running.span?.asked(request);
    running.markDispatched();
    const response = await provider.embed(request, target, call);
    const wanted = request.inputs.length * Math.max(1, request.types.length);
    if (response.raw === undefined && response.embeddings.length !== wanted) {
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
  return create(UsageSchema, { inputTokens: countInput(request), basis: UsageBasis.ESTIMATED });
}

export function countInput(request: EmbedRequest): number {
  const estimate = new TokenEstimate();
  for (const { input } of request.inputs) {
    if (input.case === "text") estimate.text(input.value);
    else if (input.case === "tokens") estimate.tokens(input.value.ids.length);
    else for (const { part } of input.value?.parts ?? []) if (part.case === "text") estimate.text(part.value);
  }
  return estimate.count;
}
