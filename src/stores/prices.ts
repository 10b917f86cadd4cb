import type { Clock } from "../core/clock.ts";
import type { PriceRecord, PriceStore, PriceTier } from "../core/price-store.ts";
import { type Database, onlyRow, type Row } from "./database.ts";
import { readPage } from "./read-page.ts";
import { readNumber, readOptionalNumber, readText } from "./read-value.ts";
import { creating, etagOf, nextVersion, updateRow } from "./revision.ts";
import { changeOf, versionedRows } from "./versioned-rows.ts";
import { Where } from "./where.ts";

const table = "prices";
const what = "price";

export function createPriceStore(database: Database, clock: Clock): PriceStore {
  return {
    ...versionedRows(database, { table, what, all: "all prices", read: readPrice }),

    create(tenant, { id, provider, modelPattern, tiers, effectiveFrom, effectiveUntil, source }) {
      return creating(what, () =>
        database.transaction(tenant, async (transaction) => {
          const now = clock.wall();
          await nextVersion(transaction, table);
          const sql = `INSERT INTO prices
            (tenant, id, provider, model_pattern, tiers, effective_from, effective_until, source, created_at, updated_at, revision)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1) RETURNING *`;
          const values = [tenant, id, provider, modelPattern, writeTiers(tiers), effectiveFrom, effectiveUntil ?? null, source, now, now];
          return readPrice(onlyRow([await transaction.run(sql, values)]));
        }),
      );
    },

    list(tenant, { provider }, page) {
      const where = Where.ofTenant(tenant).equal("provider", provider);
      const order = [{ column: "id", kind: "text" }] as const;
      return readPage(database, tenant, { name: "prices", from: table, where, order, descending: false, read: readPrice }, page);
    },

    update(tenant, id, changes, etag) {
      return database.transaction(tenant, async (transaction) => {
        await nextVersion(transaction, table);
        const { provider, modelPattern, tiers, effectiveFrom, source } = changes;
        const columns = {
          provider,
          model_pattern: modelPattern,
          tiers: tiers === undefined ? undefined : writeTiers(tiers),
          effective_from: effectiveFrom,
          source,
          // An end that is there but undefined is taken away.
          ...("effectiveUntil" in changes ? { effective_until: changes.effectiveUntil ?? null } : {}),
        };
        return readPrice(await updateRow(transaction, changeOf(table, what, tenant, id, etag), columns, clock.wall()));
      });
    },
  };
}

/** Rates as decimal text: JSON's numbers lose what is beyond 53 bits. */
function writeTiers(tiers: readonly PriceTier[]): string {
  return JSON.stringify(tiers, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value));
}

function readTiers(text: string): readonly PriceTier[] {
  const tiers = JSON.parse(text) as readonly { readonly aboveInputTokens: number; readonly rates: Readonly<Record<string, string>> }[];
  return tiers.map(({ aboveInputTokens, rates }) => ({
    aboveInputTokens,
    rates: Object.fromEntries(Object.entries(rates).map(([name, rate]) => [name, BigInt(rate)])),
  }));
}

function readPrice(row: Row): PriceRecord {
  return {
    tenant: readText(row, "tenant"),
    id: readText(row, "id"),
    provider: readText(row, "provider"),
    modelPattern: readText(row, "model_pattern"),
    tiers: readTiers(readText(row, "tiers")),
    effectiveFrom: readNumber(row, "effective_from"),
    effectiveUntil: readOptionalNumber(row, "effective_until"),
    source: readText(row, "source"),
    createdAt: readNumber(row, "created_at"),
    updatedAt: readNumber(row, "updated_at"),
    etag: etagOf(row),
  };
}
