/**
 * What runs for every operation, in order. Read this first.
 *
 *   Generate, Complete   observe -> app -> state -> idempotency -> admit -> limit -> signatures -> attempt   (Complete: of one batch)
 *   Embed                observe -> app -> idempotency -> admit -> limit -> attempt
 *   CountTokens          observe -> app -> state -> admit -> limit -> count
 *   ListModels           scope -> app -> limit -> list
 */
import { create } from "@bufbuild/protobuf";
import type { EmbedRequest, EmbedResponse } from "../../gen/dragoman/v1/embed_pb.ts";
import type { GenerateRequest } from "../../gen/dragoman/v1/generate_pb.ts";
import type { CountTokensResponse } from "../../gen/dragoman/v1/inference_service_pb.ts";
import { type ListModelsRequest, type ListModelsResponse, ListModelsResponseSchema, type Model } from "../../gen/dragoman/v1/model_pb.ts";
import { allowsModel, requireApp, requireRule } from "../core/access.ts";
import type { Clock } from "../core/clock.ts";
import { invalidField } from "../core/error.ts";
import type { EventBatch } from "../core/event.ts";
import { Fold } from "../core/fold.ts";
import type { Ledger } from "../core/ledger.ts";
import type { ProviderQuotas } from "../core/limits.ts";
import type { Metrics } from "../core/metrics.ts";
import type { Operations } from "../core/operations.ts";
import type { PriceBook } from "../core/pricing.ts";
import type { Principal } from "../core/principal.ts";
import type { RequestLog } from "../core/request-log.ts";
import type { ModelRole, Router } from "../core/routing.ts";
import type { SignatureStore } from "../core/signature-store.ts";
import type { Tokenizers } from "../core/tokenizer.ts";
import { Admission, admitReply, admitStream } from "./admit.ts";
import { attemptEmbed } from "./attempt-embed.ts";
import { AttemptEndings } from "./attempt-endings.ts";
import { attemptGenerate, attemptWhole, type GenerateAttemptOptions } from "./attempt-generate.ts";
import type { ChargePolicy, DisconnectPolicy } from "./attempts.ts";
import { countTokens as countInput } from "./count-tokens.ts";
import { type DrainBounds, DrainPool } from "./drain-pool.ts";
import { holdToApp } from "./hold-to-app.ts";
import { holdToOwnState } from "./hold-to-own-state.ts";
import { type IdempotencyOptions, idempotentEmbed, idempotentStream, idempotentWhole } from "./idempotency.ts";
import { type LimitOptions, limitCount, limitEmbed, limitList, limitStream, limitWhole } from "./limit.ts";
import { listModels } from "./list-models.ts";
import { type ObserveOptions, observeReply, observeStream, observeWhole } from "./observe.ts";
import { priceModels } from "./price-models.ts";
import { rememberSignatures, rememberSignaturesOfWhole } from "./remember-signatures.ts";
import { compose, type Stage, type Step } from "./stage.ts";
import { withoutWire } from "./without-wire.ts";

export interface PipelineOptions {
  readonly router: Router;
  readonly ledger: Ledger;
  readonly clock: Clock;
  /** HTTP statuses of a provider after which another target is tried. */
  readonly retryableStatusCodes: ReadonlySet<number>;
  /** Most calls at once per model and role. */
  readonly maxQueue: number;
  /** Name of this node; may be empty. */
  readonly node: string;
  /** Whether clients that speak an upstream's own format get its bytes. */
  readonly relay: boolean;
  /** Whether callers who are known by name may go on with what a provider keeps, by its ids. */
  readonly upstreamState?: boolean | undefined;
  readonly signatures: SignatureStore;
  /** Counts tokens where no provider does; absent: they are estimated. */
  readonly tokenizers?: Tokenizers | undefined;
  /** Absent: calls leave no record. */
  readonly requestLog?: RequestLog | undefined;
  /** Absent: nothing is counted. */
  readonly metrics?: Metrics | undefined;
  /** Absent: no price is known. */
  readonly prices?: PriceBook | undefined;
  readonly idempotency: IdempotencyOptions;
  /** Absent: nothing is limited. */
  readonly limits?: Omit<LimitOptions, "prices" | "clock" | "endings"> | undefined;
  /** Absent: no provider has a quota. */
  readonly quotas?: ProviderQuotas | undefined;
  /** Who is charged for a failed attempt; by default success_only: nobody. */
  readonly chargePolicy?: ChargePolicy | undefined;
  /** What a client that leaves its stream leads to, by provider; by default estimate. */
  readonly onDisconnect?: ((provider: string) => DisconnectPolicy) | undefined;
  /** Bounds of streams that are read on for exact counts; absent: none is. */
  readonly drain?: DrainBounds | undefined;
}

export interface Pipeline extends Operations {
  readonly admission: Admission;
  /** To be closed when no more calls come. */
  readonly drains: DrainPool | undefined;
}

/** The stages of a generation that know how its answer comes. */
interface OwnStages<Reply> {
  observe(options: ObserveOptions): Stage<GenerateRequest, Reply>;
  idempotent(options: IdempotencyOptions): Stage<GenerateRequest, Reply>;
  admit(admission: Admission, role: ModelRole): Stage<GenerateRequest, Reply>;
  limit(options: LimitOptions): Stage<GenerateRequest, Reply>;
  remember(store: SignatureStore): Stage<GenerateRequest, Reply>;
  attempt(options: GenerateAttemptOptions): Step<GenerateRequest, Reply>;
}

const inParts: OwnStages<AsyncIterable<EventBatch>> = {
  observe: observeStream,
  idempotent: idempotentStream,
  admit: admitStream,
  limit: limitStream,
  remember: rememberSignatures,
  attempt: attemptGenerate,
};

/** Nobody waits for a part: without what passing parts on costs. */
const inOnePiece: OwnStages<Promise<EventBatch>> = {
  observe: observeWhole,
  idempotent: idempotentWhole,
  admit: admitReply,
  limit: limitWhole,
  remember: rememberSignaturesOfWhole,
  attempt: attemptWhole,
};

export function createOperations(given: PipelineOptions): Pipeline {
  const options = { ...given, endings: new AttemptEndings() };
  const admission = new Admission(options);
  const limits = options.limits === undefined ? undefined : { ...options, ...options.limits };
  const { outputEstimate = 0, ceilingOf } = options.limits ?? {};
  const reserving = { outputEstimate, ceilingOf };
  const drains = options.drain === undefined ? undefined : new DrainPool(options.drain);

  const generateBy = <Reply>(own: OwnStages<Reply>): Step<GenerateRequest, Reply> =>
    compose<GenerateRequest, Reply>(
      [
        own.observe(options),
        holdToApp(),
        ...(options.upstreamState ? [] : [holdToOwnState<Reply>()]),
        ...(options.relay ? [] : [withoutWire<GenerateRequest, Reply>()]),
        own.idempotent(options.idempotency),
        own.admit(admission, "generate"),
        ...(limits === undefined ? [] : [own.limit(limits)]),
        own.remember(options.signatures),
      ],
      own.attempt({ ...options, ...reserving, drains }),
    );
  const generate = generateBy(inParts);
  const generateWhole = generateBy(inOnePiece);
  const embed = compose<EmbedRequest, Promise<EmbedResponse>>(
    [
      observeReply(options),
      holdToApp(),
      ...(options.relay ? [] : [withoutWire<EmbedRequest, Promise<EmbedResponse>>()]),
      idempotentEmbed(options.idempotency),
      admitReply(admission, "embed"),
      ...(limits === undefined ? [] : [limitEmbed(limits)]),
    ],
    attemptEmbed({ ...options, ...reserving }),
  );
  const countTokens = compose<GenerateRequest, Promise<CountTokensResponse>>(
    [
      observeReply(options),
      holdToApp(),
      ...(options.upstreamState ? [] : [holdToOwnState<Promise<CountTokensResponse>>()]),
      admitReply(admission, "generate"),
      ...(limits === undefined ? [] : [limitCount(limits)]),
    ],
    countInput(options),
  );
  const list = compose<ListModelsRequest, Promise<ListModelsResponse>>(limits === undefined ? [] : [limitList(limits)], listFor(options));

  return {
    admission,
    drains,
    generate,
    embed,

    async complete(request, call) {
      const { events, raw } = await generateWhole(request, call);
      const response = new Fold().addAll(events).response();
      return raw === undefined ? { response } : { response, raw };
    },

    async countTokens({ generate: request }, call) {
      if (request === undefined) throw invalidField("generate", "is required");
      return countTokens(request, call);
    },

    async listModels(request, call) {
      const { principal } = call;
      requireRule(principal, { scope: "models", role: "viewer", auditor: true });
      requireApp(principal, call.options?.policy ?? "");
      return list(request, call);
    },
  };
}

function listFor({ router, prices, clock }: PipelineOptions): Step<ListModelsRequest, Promise<ListModelsResponse>> {
  return async (request, { principal }) => {
    const models = router.models();
    const page = listModels(request, principal.models.length === 0 ? models : models.filter(mayName(principal)));
    if (prices !== undefined) page.models = priceModels(page.models, prices, principal.tenant, clock.wall());
    return create(ListModelsResponseSchema, page);
  };
}

/** Whether a caller that is held to some models may name one of the list. */
function mayName(principal: Principal): (model: Model) => boolean {
  return ({ id, providers, upstreamModel }) => {
    const targets = providers.map((provider) => ({ provider, model: upstreamModel === "" ? id : upstreamModel }));
    return allowsModel(principal, { name: id, targets });
  };
}
