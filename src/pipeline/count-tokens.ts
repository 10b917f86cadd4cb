/**
 * The innermost step of CountTokens: the provider's own count where it has one, else the model's tokenizer where that is
 * public, else an estimate. The answer says which. Nothing is billed, and no attempt is recorded.
 */
import { create } from "@bufbuild/protobuf";
import type { GenerateRequest } from "../../gen/dragoman/v1/generate_pb.ts";
import { type CountTokensResponse, CountTokensResponseSchema } from "../../gen/dragoman/v1/inference_service_pb.ts";
import { AttemptSchema, UsageBasis } from "../../gen/dragoman/v1/usage_pb.ts";
import { type AttemptCall, type Call, stopReason, throwIfStopped } from "../core/call.ts";
import { GatewayError, type Reason } from "../core/error.ts";
import type { Provider } from "../core/provider.ts";
import type { Router } from "../core/routing.ts";
import type { Target } from "../core/target.ts";
import type { Tokenizers } from "../core/tokenizer.ts";
import { estimateInput } from "../core/usage.ts";
import type { Step } from "./stage.ts";

export interface CountTokensOptions {
  readonly router: Pick<Router, "provider">;
  /** Absent: what no provider counts is estimated. */
  readonly tokenizers?: Tokenizers | undefined;
}

/** How long a provider may take: clients count before they ask, and an estimate is at hand. */
const providerCountMs = 10_000;

/** What is wrong with the request itself would be wrong when it is run: the client is told. */
const faultsOfRequest: ReadonlySet<Reason> = new Set(["invalid_request", "untranslatable", "context_exceeded", "too_large"]);

export function countTokens({ router, tokenizers }: CountTokensOptions): Step<GenerateRequest, Promise<CountTokensResponse>> {
  return async (request, call) => {
    throwIfStopped(call);
    const [target] = call.targets;
    if (target === undefined) throw new GatewayError("no_target", "no provider that serves this model is configured now");
    const provider = router.provider(target.provider);
    const counted = provider === undefined ? undefined : await askProvider(provider, request, target, call);
    return counted ?? countHere(request, target, tokenizers);
  };
}

/** Undefined where the provider does not count, or failed to. */
async function askProvider(
  provider: Provider,
  request: GenerateRequest,
  target: Target,
  call: Call,
): Promise<CountTokensResponse | undefined> {
  if (provider.countTokens === undefined) return undefined;
  // A record and notes of its own: neither belongs to the call where the provider fails.
  const asking: AttemptCall = {
    ...call,
    signal: AbortSignal.any([call.signal, AbortSignal.timeout(providerCountMs)]),
    attempt: create(AttemptSchema, { provider: target.provider, target: target.id, upstreamModel: target.model }),
    attempts: [],
    translation: [],
    buffered: true,
    wire: undefined,
  };
  try {
    const counted = await provider.countTokens(request, target, asking);
    return {
      ...counted,
      basis: UsageBasis.PROVIDER,
      servedModel: target.model,
      provider: target.provider,
      translation: asking.translation,
    };
  } catch (thrown) {
    if (call.signal.aborted) throw stopReason(call.signal);
    const error = GatewayError.from(thrown);
    if (error.reason === "internal" || faultsOfRequest.has(error.reason)) throw error;
    return undefined;
  }
}

async function countHere(request: GenerateRequest, target: Target, tokenizers: Tokenizers | undefined): Promise<CountTokensResponse> {
  const tokenizer = await tokenizers?.find(target.model);
  const { tokens, isCounted } = tokenizer?.countInput(request) ?? { tokens: estimateInput(request), isCounted: false };
  return create(CountTokensResponseSchema, {
    inputTokens: tokens,
    basis: isCounted ? UsageBasis.COUNTED : UsageBasis.ESTIMATED,
    servedModel: target.model,
    provider: target.provider,
  });
}
