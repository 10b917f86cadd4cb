import type { Config } from "../config/schema.ts";
import { systemClock } from "../core/clock.ts";
import type { Ledger } from "../core/ledger.ts";
import type { Limiter, ProviderQuotas } from "../core/limits.ts";
import type { Logger } from "../core/log.ts";
import type { Metrics } from "../core/metrics.ts";
import { readDollars } from "../core/money.ts";
import type { Price, PriceBook } from "../core/pricing.ts";
import type { RequestLog } from "../core/request-log.ts";
import type { Router } from "../core/routing.ts";
import type { Stores } from "../core/stores.ts";
import type { WorkerLink } from "../core/worker-link.ts";
import type { IdempotencyOptions } from "../pipeline/idempotency.ts";
import { createOperations, type Pipeline } from "../pipeline/operations.ts";
import { unsharedIdempotency } from "../pipeline/unshared-idempotency.ts";
import { createOpenAiTokenizers } from "../providers/openai-tokenizer.ts";
import { createSharedSignatures } from "../stores/shared-signatures.ts";
import { createSignatures } from "./create-signatures.ts";

export interface PipelineParts {
  readonly stores: Stores;
  readonly router: Router;
  readonly ledger: Ledger;
  readonly limiter: Limiter;
  readonly quotas: ProviderQuotas | undefined;
  readonly prices: PriceBook;
  readonly requestLog: RequestLog | undefined;
  readonly metrics: Metrics | undefined;
  readonly link: WorkerLink | undefined;
  readonly log: Logger;
}

export interface OpenedPipeline {
  readonly operations: Pipeline;
  /** To be called when no more calls come: waits for streams that are read on without a client. */
  close(): Promise<void>;
  /** Ends those streams: close() waits for none of them then. */
  hurry(): void;
}

/** How often idempotency keys that are over are removed. */
const pruneMs = 600_000;

/** What runs for every call, as configured. */
export function openPipeline(config: Config, parts: PipelineParts): OpenedPipeline {
  const { stores, router, ledger, limiter, quotas, prices, requestLog, metrics, link, log } = parts;
  const { drain } = config.ledger;
  const maxDrainMs = drain.seconds * 1_000;
  const operations = createOperations({
    router,
    requestLog,
    ledger,
    metrics,
    prices,
    limits: { limiter, outputEstimate: config.limits.output_estimate_tokens, ceilingOf: ceilingsOf(config) },
    quotas,
    idempotency: idempotencyOf(config, parts),
    chargePolicy: config.ledger.charge_policy,
    onDisconnect: (provider) => config.providers[provider]?.on_disconnect ?? "estimate",
    drain: { maxStreams: drain.max_streams, maxMs: maxDrainMs, maxTokens: drain.max_tokens },
    clock: systemClock,
    retryableStatusCodes: new Set(config.retryable_status_codes),
    maxQueue: config.admission.max_queue,
    node: config.server.node ?? "",
    tokenizers: createOpenAiTokenizers(),
    relay: config.facade.relay,
    upstreamState: config.responses_store.upstream_ids,
    signatures: link === undefined ? createSignatures(config) : createSharedSignatures(link),
  });
  const pruning = setInterval(() => {
    stores.idempotency
      .prune(systemClock.wall())
      .catch((error: unknown) => log.warn("old idempotency keys could not be removed", { error }));
  }, pruneMs);
  pruning.unref();
  return {
    operations,
    async close() {
      clearInterval(pruning);
      await operations.drains?.close(Math.min(maxDrainMs, config.server.drain_seconds * 1_000));
    },
    hurry() {
      void operations.drains?.close(0);
    },
  };
}

/** What calls of a route may cost at most where the price is not known. */
function ceilingsOf({ limits, routes }: Config): (route: string) => Price | undefined {
  const byRoute = new Map(
    Object.entries(routes).map(([name, route]) => [name, priceOf(route.unknown_price ?? limits.unknown_price)] as const),
  );
  const otherwise = priceOf(limits.unknown_price);
  return (route) => (byRoute.has(route) ? byRoute.get(route) : otherwise);
}

function priceOf(dollars: { readonly input: string; readonly output: string } | undefined): Price | undefined {
  if (dollars === undefined) return undefined;
  const [input = 0n, output = 0n] = [readDollars(dollars.input), readDollars(dollars.output)];
  return { tiers: [{ aboveInputTokens: 0, rates: { input, output } }], version: "ceiling", source: "config" };
}

function idempotencyOf({ idempotency }: Config, { stores, link, log }: PipelineParts): IdempotencyOptions {
  return {
    store: link !== undefined && stores.engine === "memory" ? unsharedIdempotency : stores.idempotency,
    clock: systemClock,
    log,
    keepMs: idempotency.keep_seconds * 1_000,
    maxAnswerBytes: idempotency.max_answer_bytes,
  };
}
