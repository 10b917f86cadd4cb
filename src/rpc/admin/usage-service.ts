/** dragoman.admin.v1.UsageService. */
import { setTimeout } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  UsageDimension,
  UsageGroupSchema,
  type UsageQuery,
  type UsageService,
  type UsageSum,
  UsageSumSchema,
} from "../../../gen/dragoman/admin/v1/usage_service_pb.ts";
import type { LedgerDimension, LedgerFilter, LedgerGrouping, LedgerStore, LedgerSum } from "../../core/ledger-store.ts";
import { writeExactDollars } from "../../core/money.ts";
import { type AdminCall, adminCallOf } from "./admin-call.ts";
import { readSpan, readTime, writeTime } from "./timestamp.ts";

const dimensions: Readonly<Partial<Record<UsageDimension, LedgerDimension>>> = {
  [UsageDimension.PROJECT]: "project",
  [UsageDimension.KEY]: "principal",
  [UsageDimension.END_USER]: "endUser",
  [UsageDimension.MODEL]: "requestedModel",
  [UsageDimension.UPSTREAM_MODEL]: "upstreamModel",
  [UsageDimension.PROVIDER]: "provider",
  [UsageDimension.ROUTE]: "route",
  [UsageDimension.SURFACE]: "surface",
  [UsageDimension.OPERATION]: "operation",
  [UsageDimension.OUTCOME]: "outcome",
};

const defaultIntervalMs = 5_000;

export interface UsageServiceOptions {
  readonly ledger: Pick<LedgerStore, "sum">;
  /** Ends what is watched: the gateway stops. */
  readonly stopping: AbortSignal;
}

export function createUsageService({ ledger, stopping }: UsageServiceOptions): ServiceImpl<typeof UsageService> {
  return {
    async sumUsage({ query }, context) {
      return { sums: await sum(adminCallOf(context), query) };
    },

    async *watchUsage({ query, interval }, context) {
      const call = adminCallOf(context);
      const intervalMs = interval === undefined ? defaultIntervalMs : readSpan(interval);
      const signal = AbortSignal.any([context.signal, stopping]);
      let last: string | undefined;
      while (!signal.aborted) {
        const sums = await sum(call, query);
        const text = JSON.stringify(sums, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value));
        if (text !== last) yield { sums };
        last = text;
        await setTimeout(intervalMs, undefined, { signal, ref: false }).catch(() => {});
      }
    },
  };

  async function sum(call: AdminCall, query: UsageQuery | undefined): Promise<UsageSum[]> {
    const asked = query?.groupBy ?? [];
    const sums = await ledger.sum(call.tenant(query?.tenant ?? ""), readFilter(query), readGrouping(asked, query));
    return sums.map((each) => writeSum(each, asked));
  }
}

function readFilter(query: UsageQuery | undefined): LedgerFilter {
  return {
    project: query?.project || undefined,
    principal: query?.keyId || undefined,
    endUser: query?.endUserId || undefined,
    requestedModel: query?.model || undefined,
    upstreamModel: query?.upstreamModel || undefined,
    provider: query?.provider || undefined,
    route: query?.route || undefined,
    from: readTime(query?.fromTime),
    until: readTime(query?.untilTime),
  };
}

function readGrouping(asked: readonly UsageDimension[], query: UsageQuery | undefined): LedgerGrouping {
  const by = asked.flatMap((dimension) => dimensions[dimension] ?? []);
  return query?.bucket === undefined ? { by } : { by, bucketMs: readSpan(query.bucket) };
}

function writeSum(
  { group, bucket, attempts, calls, errors, unpriced, estimated, ...sums }: LedgerSum,
  asked: readonly UsageDimension[],
): UsageSum {
  const { inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens, reasoningTokens, costNano, chargeNano } = sums;
  const message = create(UsageSumSchema, {
    group: asked.map((dimension) => create(UsageGroupSchema, { dimension, value: valueIn(group, dimension) })),
    attempts: BigInt(attempts),
    calls: BigInt(calls),
    errors: BigInt(errors),
    unpriced: BigInt(unpriced),
    estimated: BigInt(estimated),
    ...{ inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens, reasoningTokens },
    costNanoUsd: costNano,
    chargeNanoUsd: chargeNano,
    costUsd: writeExactDollars(costNano),
  });
  if (bucket !== undefined) message.bucketTime = writeTime(bucket);
  return message;
}

function valueIn(group: LedgerSum["group"], dimension: UsageDimension): string {
  const name = dimensions[dimension];
  return name === undefined ? "" : (group[name] ?? "");
}
