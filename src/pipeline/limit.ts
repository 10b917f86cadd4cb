/**
 * Limits and budgets: what the call may take is reserved before anything is dispatched, and put right when it is over,
 * however it ends. Where no rule holds the next step runs as if this one were not there.
 */
import { type DescMessage, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { ServiceTier } from "../../gen/dragoman/v1/call_pb.ts";
import { type EmbedRequest, EmbedRequestSchema, type EmbedResponse } from "../../gen/dragoman/v1/embed_pb.ts";
import { type GenerateRequest, GenerateRequestSchema } from "../../gen/dragoman/v1/generate_pb.ts";
import type { CountTokensResponse } from "../../gen/dragoman/v1/inference_service_pb.ts";
import { type ListModelsRequest, ListModelsRequestSchema, type ListModelsResponse } from "../../gen/dragoman/v1/model_pb.ts";
import type { Attempt } from "../../gen/dragoman/v1/usage_pb.ts";
import type { Call } from "../core/call.ts";
import type { Clock } from "../core/clock.ts";
import type { EventBatch } from "../core/event.ts";
import type { LimitAmounts, LimitClaim, Limiter, LimitFacts, LimitLease, LimitMetric } from "../core/limits.ts";
import type { PriceBook } from "../core/pricing.ts";
import { ratesOfRequest } from "../core/request-rates.ts";
import { estimateInput } from "../core/usage.ts";
import { countInput } from "./attempt-embed.ts";
import type { AttemptEndings } from "./attempt-endings.ts";
import { type CostBounds, type MostCostOptions, mostCostAt } from "./most-cost.ts";
import type { Stage, Step } from "./stage.ts";

export interface LimitOptions extends MostCostOptions {
  readonly limiter: Limiter;
  /** Absent: budgets reserve nothing, and count what attempts cost. */
  readonly prices?: PriceBook | undefined;
  readonly clock: Clock;
  /** Says when a stream is over that is read on for its counts: what the call took is known then. */
  readonly endings: AttemptEndings;
}

/** What a request is estimated by. */
interface Estimate extends CostBounds {
  bytes(): number;
}

export function limitStream(options: LimitOptions): Stage<GenerateRequest, AsyncIterable<EventBatch>> {
  return (next) => (request, call) => {
    if (options.limiter.idle) return next(request, call);
    const claim = options.limiter.claim(factsOf(call, request.model));
    if (claim === undefined) return next(request, call);
    return whileHeld(
      () => reserve(claim, estimateGenerate(request), call, options),
      () => next(request, call),
      (lease) => settleLater(lease, call, options),
    );
  };
}

/** For generations that are answered in one piece. */
export function limitWhole(options: LimitOptions): Stage<GenerateRequest, Promise<EventBatch>> {
  return limitReply(options, ({ model }) => model, estimateGenerate);
}

export function limitEmbed(options: LimitOptions): Stage<EmbedRequest, Promise<EmbedResponse>> {
  return limitReply(options, ({ model }) => model, estimateEmbed);
}

/** Counting tokens is a request, and runs; it uses no tokens and no money. */
export function limitCount(options: LimitOptions): Stage<GenerateRequest, Promise<CountTokensResponse>> {
  const estimate = (request: GenerateRequest) => estimateQuestion(GenerateRequestSchema, request);
  return limitReply(options, ({ model }) => model, estimate, questionMetrics);
}

/** As counting tokens, of no model. */
export function limitList(options: LimitOptions): Stage<ListModelsRequest, Promise<ListModelsResponse>> {
  const estimate = (request: ListModelsRequest) => estimateQuestion(ListModelsRequestSchema, request);
  return limitReply(options, () => "", estimate, questionMetrics);
}

/** What is counted of calls that run no model. */
const questionMetrics: ReadonlySet<LimitMetric> = new Set(["requests", "bytes", "concurrency"]);

function limitReply<Request, Reply>(
  options: LimitOptions,
  modelOf: (request: Request) => string,
  estimate: (request: Request) => Estimate,
  metrics?: ReadonlySet<LimitMetric>,
): Stage<Request, Promise<Reply>> {
  const runHeld = async (claim: LimitClaim, next: Step<Request, Promise<Reply>>, request: Request, call: Call): Promise<Reply> => {
    const lease = await reserve(claim, estimate(request), call, options);
    try {
      return await next(request, call);
    } finally {
      settleLater(lease, call, options);
    }
  };
  return (next) => (request, call) => {
    if (options.limiter.idle) return next(request, call);
    const claim = options.limiter.claim(factsOf(call, modelOf(request)), metrics);
    return claim === undefined ? next(request, call) : runHeld(claim, next, request, call);
  };
}

function factsOf({ principal, attribution, targets, route }: Call, requested: string): LimitFacts {
  const first = targets.slice(0, 1).flatMap(({ provider, model }) => [`${provider}/${model}`, model]);
  const { tenant, project, owner, id: key } = principal;
  const models = [...new Set([...first, ...(requested === "" ? [] : [requested])])];
  return { tenant, project, owner, key, endUser: attribution?.endUserId ?? "", models, route };
}

async function reserve(claim: LimitClaim, estimate: Estimate, call: Call, options: LimitOptions): Promise<LimitLease> {
  const { inputTokens, outputCap } = estimate;
  const modelCap = call.targets[0]?.traits.maxOutputTokens ?? Number.POSITIVE_INFINITY;
  const lease = await claim.reserve({
    inputTokens,
    outputTokens: outputCap ?? Math.min(options.outputEstimate, modelCap),
    bytes: claim.needsBytes ? estimate.bytes() : 0,
    costNano: claim.needsCost ? mostCost(estimate, call, options) : 0n,
  });
  call.limits?.push(...lease.levels);
  return lease;
}

/** The most that the call may cost at any of its targets; a hard budget must not be passed. */
function mostCost({ billedBy, ...estimate }: Estimate, call: Call, options: LimitOptions): bigint {
  let most = 0n;
  const billed = billedBy();
  // Any of them may be reached: those whose provider's quota is used up are no attempts.
  for (const target of call.targets) {
    const { provider, model } = target;
    const price = options.prices?.price({ tenant: call.principal.tenant, provider, model, at: options.clock.wall() });
    const cost = mostCostAt(target, price, call.route, { ...estimate, billedBy: () => billed }, options) ?? 0n;
    if (cost > most) most = cost;
  }
  return most;
}

function settleLater(lease: LimitLease, call: Call, { endings }: LimitOptions): void {
  endings.whenOver(call, () => lease.settle(spentOf(call.attempts, lease.bytes)));
}

/** What the attempts were billed for, the failed ones included. */
function spentOf(attempts: readonly Attempt[], bytes: number): LimitAmounts {
  const spent = { inputTokens: 0, outputTokens: 0, bytes, costNano: 0n };
  for (const { usage, costNanoUsd = 0n } of attempts) {
    spent.inputTokens += usage?.inputTokens ?? 0;
    spent.outputTokens += usage?.outputTokens ?? 0;
    spent.costNano += costNanoUsd;
  }
  return spent;
}

function estimateGenerate(request: GenerateRequest): Estimate {
  const { maxOutputTokens, candidateCount = 1 } = request.sampling ?? {};
  return {
    inputTokens: estimateInput(request),
    outputCap: maxOutputTokens === undefined ? undefined : maxOutputTokens * Math.max(1, candidateCount),
    billedBy: () => ({ rates: ratesOfRequest(request), serviceTier: request.serviceTier }),
    bytes: () => bytesOf(GenerateRequestSchema, request),
  };
}

function estimateEmbed(request: EmbedRequest): Estimate {
  return {
    inputTokens: countInput(request),
    outputCap: 0,
    billedBy: () => ({ rates: [], serviceTier: ServiceTier.UNSPECIFIED }),
    bytes: () => bytesOf(EmbedRequestSchema, request),
  };
}

function estimateQuestion<Desc extends DescMessage>(schema: Desc, request: MessageShape<Desc>): Estimate {
  const billedBy = () => ({ rates: [], serviceTier: ServiceTier.UNSPECIFIED });
  return { inputTokens: 0, outputCap: 0, billedBy, bytes: () => bytesOf(schema, request) };
}

/** A request's size in the contract's own encoding, so that it is the same by whatever surface it came. */
function bytesOf<Desc extends DescMessage>(schema: Desc, request: MessageShape<Desc>): number {
  return toBinary(schema, request).byteLength;
}

/** Opens a stream when it is first read and a lease is held, and ends the lease with it. Adds no layer to its events. */
function whileHeld(
  take: () => Promise<LimitLease>,
  open: () => AsyncIterable<EventBatch>,
  end: (lease: LimitLease) => void,
): AsyncIterable<EventBatch> {
  return {
    [Symbol.asyncIterator]() {
      let lease: LimitLease | undefined;
      let inner: AsyncIterator<EventBatch> | undefined;
      const over = (): void => {
        if (lease !== undefined) end(lease);
        lease = undefined;
      };
      return {
        async next() {
          try {
            if (inner === undefined) {
              lease = await take();
              inner = open()[Symbol.asyncIterator]();
            }
            const result = await inner.next();
            if (result.done) over();
            return result;
          } catch (thrown) {
            over();
            throw thrown;
          }
        },
        async return() {
          try {
            await inner?.return?.();
          } finally {
            over();
          }
          return { done: true, value: undefined };
        },
      };
    },
  };
}
