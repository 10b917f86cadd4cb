/** dragoman.admin.v1.PriceService. */
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type Price,
  PriceOrigin,
  PriceSchema,
  type PriceService,
  type PriceTier,
  PriceTierSchema,
} from "../../../gen/dragoman/admin/v1/price_service_pb.ts";
import { changesAllTenants } from "../../core/access.ts";
import type { Clock } from "../../core/clock.ts";
import { GatewayError, invalidField } from "../../core/error.ts";
import { ulid } from "../../core/id.ts";
import type { LedgerStore } from "../../core/ledger-store.ts";
import { readDollars, writeExactDollars } from "../../core/money.ts";
import { everyTenant, type PriceChanges, type PriceRecord, type PriceStore, type PriceTier as StoredTier } from "../../core/price-store.ts";
import type { LayeredPriceBook } from "../../prices/price-book.ts";
import { rerateRows } from "../../prices/rerate.ts";
import { type AdminCall, adminCallOf } from "./admin-call.ts";
import { readPage } from "./page.ts";
import { readTime, writeTime } from "./timestamp.ts";
import { readUpdateMask } from "./update-mask.ts";

/** A model at a provider. */
export interface PricedTarget {
  readonly provider: string;
  readonly model: string;
}

export interface PriceServiceOptions {
  readonly prices: PriceStore;
  readonly ledger: LedgerStore;
  readonly book: LayeredPriceBook;
  readonly clock: Clock;
  /** What the gateway offers now. */
  targets(): readonly PricedTarget[];
  /** Told when stored prices changed: this process charges by them from then on. */
  onChange(): Promise<void>;
}

const changeable = ["provider", "model", "tiers", "effective_from", "effective_until", "source"] as const;

const origins = { store: PriceOrigin.STORE, config: PriceOrigin.CONFIG, package: PriceOrigin.PACKAGE } as const;

export function createPriceService(options: PriceServiceOptions): ServiceImpl<typeof PriceService> {
  const { prices, ledger, book, clock, targets, onChange } = options;
  return {
    async createPrice({ tenant: named, price }, context) {
      const call = adminCallOf(context);
      const tenant = tenantOf(call, named);
      const id = ulid(clock.wall()).toLowerCase();
      call.about({ kind: "price", id, ...whose(tenant) });
      requireOperator(call);
      const { provider, model, tiers, effectiveFrom, effectiveUntil, source } = required(price);
      const record = await prices.create(tenant, {
        id,
        provider: nonEmpty(provider, "price.provider"),
        modelPattern: nonEmpty(model, "price.model"),
        tiers: readTiers(tiers),
        effectiveFrom: readTime(effectiveFrom) ?? 0,
        effectiveUntil: readTime(effectiveUntil),
        source,
      });
      const written = writePrice(record);
      call.changed(PriceSchema, undefined, written);
      await onChange();
      return { price: written };
    },

    async getPrice({ tenant: named, id }, context) {
      return { price: writePrice(await find(tenantOf(adminCallOf(context), named), id)) };
    },

    async listPrices({ tenant: named, provider, ...page }, context) {
      const tenant = tenantOf(adminCallOf(context), named);
      const { items, next = "" } = await prices.list(tenant, { provider: provider || undefined }, readPage(page));
      return { prices: items.map(writePrice), nextPageToken: next };
    },

    async updatePrice({ tenant: named, price, updateMask, etag }, context) {
      const call = adminCallOf(context);
      const tenant = tenantOf(call, named);
      const given = required(price);
      const fields = readUpdateMask(updateMask, changeable);
      call.about({ kind: "price", id: given.id, ...whose(tenant), details: { fields: [...fields] } });
      requireOperator(call);
      const changes: PriceChanges = {
        ...(fields.has("provider") ? { provider: nonEmpty(given.provider, "price.provider") } : {}),
        ...(fields.has("model") ? { modelPattern: nonEmpty(given.model, "price.model") } : {}),
        ...(fields.has("tiers") ? { tiers: readTiers(given.tiers) } : {}),
        ...(fields.has("effective_from") ? { effectiveFrom: readTime(given.effectiveFrom) ?? 0 } : {}),
        ...(fields.has("effective_until") ? { effectiveUntil: readTime(given.effectiveUntil) } : {}),
        ...(fields.has("source") ? { source: given.source } : {}),
      };
      const before = await prices.get(tenant, nonEmpty(given.id, "price.id"));
      const after = writePrice(await prices.update(tenant, given.id, changes, etag || undefined));
      call.changed(PriceSchema, before === undefined ? undefined : writePrice(before), after);
      await onChange();
      return { price: after };
    },

    async deletePrice({ tenant: named, id, etag }, context) {
      const call = adminCallOf(context);
      const tenant = tenantOf(call, named);
      call.about({ kind: "price", id, ...whose(tenant) });
      requireOperator(call);
      const before = await prices.get(tenant, id);
      await prices.delete(tenant, id, etag || undefined);
      call.changed(PriceSchema, before === undefined ? undefined : writePrice(before), undefined);
      await onChange();
      return {};
    },

    listEffectivePrices({ tenant: named, provider, model, at: when, ...page }, context) {
      const tenant = adminCallOf(context).tenant(named);
      const at = readTime(when) ?? clock.wall();
      const { items, next } = slice(wanted(targets(), provider, model), readPage(page));
      return {
        prices: items.map((target) => {
          const found = book.explain({ tenant, ...target, at });
          if (found === undefined) return target;
          const { price, origin } = found;
          return {
            ...target,
            tiers: price.tiers.map(writeTier),
            origin: origins[origin],
            source: price.source,
            pricingVersion: price.version,
          };
        }),
        nextPageToken: next,
      };
    },

    async *rerateRows({ tenant: named, from, until, provider, model, dryRun }, context) {
      const call = adminCallOf(context);
      const tenant = call.tenant(named);
      call.about({ kind: "ledger", id: "", tenant, details: { dry_run: dryRun } });
      requireOperator(call);
      const request = {
        tenant,
        from: readTime(from) ?? 0,
        until: readTime(until) ?? clock.wall(),
        provider: provider || undefined,
        upstreamModel: model || undefined,
        dryRun,
      };
      for await (const progress of rerateRows({ ledger, prices: book }, request)) {
        const { rows, changed, unpriced, costBefore, costAfter, position, done } = progress;
        yield {
          rows: BigInt(rows),
          changed: BigInt(changed),
          unpriced: BigInt(unpriced),
          costBeforeNanoUsd: costBefore,
          costAfterNanoUsd: costAfter,
          position: writeTime(position),
          done,
        };
      }
    },
  };

  async function find(tenant: string, id: string): Promise<PriceRecord> {
    const record = await prices.get(tenant, id);
    if (record !== undefined) return record;
    throw new GatewayError("not_found", `there is no price "${id.slice(0, 64)}"`, {
      fields: [{ field: "id", description: "names no stored price of this tenant" }],
    });
  }
}

/** What holds for everybody may be seen by everybody who may see prices at all. */
function tenantOf(call: AdminCall, named: string): string {
  return named === everyTenant ? everyTenant : call.tenant(named);
}

/** In whose audit log a change stands: what holds for all is in that of whoever made it. */
function whose(tenant: string): { tenant?: string } {
  return tenant === everyTenant ? {} : { tenant };
}

/** Nobody sets what they are charged. */
function requireOperator({ principal }: AdminCall): void {
  if (!changesAllTenants(principal)) throw new GatewayError("forbidden", 'prices are set by admins of the tenant "default"');
}

function required(price: Price | undefined): Price {
  if (price === undefined) throw invalidField("price", "is required");
  return price;
}

function nonEmpty(text: string, field: string): string {
  if (text === "") throw invalidField(field, "is required");
  return text;
}

function readTiers(tiers: readonly PriceTier[]): StoredTier[] {
  if (tiers.length === 0) throw invalidField("price.tiers", "is empty; name at least one");
  let last = -1;
  return tiers.map(({ aboveInputTokens, rates }, index) => {
    const field = `price.tiers[${index}]`;
    if (index === 0 && aboveInputTokens !== 0)
      throw invalidField(`${field}.above_input_tokens`, "must be 0: the first tier is that of small inputs");
    if (aboveInputTokens <= last) throw invalidField(`${field}.above_input_tokens`, "must be more than in the tier before");
    last = aboveInputTokens;
    return { aboveInputTokens, rates: readRates(rates, `${field}.rates`) };
  });
}

function readRates(rates: Readonly<Record<string, string>>, field: string): Record<string, bigint> {
  return Object.fromEntries(
    Object.entries(rates).map(([name, dollars]) => {
      const nano = readDollars(dollars);
      if (nano === undefined) throw invalidField(`${field}["${name}"]`, 'is no amount; write decimal dollars, as in "0.075"');
      return [name, nano];
    }),
  );
}

function writeTier({ aboveInputTokens, rates }: StoredTier): PriceTier {
  const written = Object.entries(rates).map(([name, nano]) => [name, writeExactDollars(nano)] as const);
  return create(PriceTierSchema, { aboveInputTokens, rates: Object.fromEntries(written) });
}

function writePrice(record: PriceRecord): Price {
  const { id, tenant, provider, modelPattern, tiers, effectiveFrom, effectiveUntil, source, createdAt, updatedAt, etag } = record;
  const price = create(PriceSchema, { id, tenant, provider, model: modelPattern, tiers: tiers.map(writeTier), source, etag });
  price.createTime = writeTime(createdAt);
  price.updateTime = writeTime(updatedAt);
  if (effectiveFrom > 0) price.effectiveFrom = writeTime(effectiveFrom);
  if (effectiveUntil !== undefined) price.effectiveUntil = writeTime(effectiveUntil);
  return price;
}

/** By provider and model, each once. */
function wanted(offered: readonly PricedTarget[], provider: string, model: string): PricedTarget[] {
  const all = model !== "" && provider !== "" ? [{ provider, model }] : offered;
  const unique = new Map<string, PricedTarget>();
  for (const target of all) {
    if ((provider === "" || target.provider === provider) && (model === "" || target.model === model)) {
      unique.set(`${target.provider}/${target.model}`, target);
    }
  }
  return [...unique].sort(([left], [right]) => (left < right ? -1 : 1)).map(([, target]) => target);
}

/** A token is the last name of the page before: it stays good when models come and go. */
function slice(all: readonly PricedTarget[], { size, cursor }: { size: number; cursor?: string | undefined }) {
  const after = cursor === undefined ? "" : Buffer.from(cursor, "base64url").toString();
  const rest = all.filter(({ provider, model }) => `${provider}/${model}` > after);
  const items = rest.slice(0, size);
  const last = items.at(-1);
  const more = last !== undefined && rest.length > items.length;
  return { items, next: more ? Buffer.from(`${last.provider}/${last.model}`).toString("base64url") : "" };
}
