import type { Clock } from "../core/clock.ts";
import type { ApiKeyChanges, ApiKeyRecord, ChangingKeys, KeyStore, NewApiKey } from "../core/key-store.ts";
import { allTenants, type Database, flag, onlyRow, type Row, type SqlValue, type TenantScope, type Transaction } from "./database.ts";
import { findProject } from "./find-project.ts";
import { readPage } from "./read-page.ts";
import { readBoolean, readNumber, readOptionalNumber, readText, readTexts } from "./read-value.ts";
import { creating, etagOf, nextVersion, readVersion, updateRow } from "./revision.ts";
import { Where } from "./where.ts";

/** What changes of keys are counted as. */
export const countedKeys = "api_keys";

export function createKeyStore(database: Database, clock: Clock): KeyStore {
  return {
    create(tenant, key) {
      return creating("key", () =>
        database.transaction(tenant, async (transaction) => {
          const now = clock.wall();
          const version = await nextVersion(transaction, countedKeys);
          const columns = { ...columnsOf(key), tenant, version, created_at: now, updated_at: now, revision: 1 };
          const names = Object.keys(columns);
          const sql = `INSERT INTO api_keys (${names.join(", ")}) VALUES (${names.map(() => "?").join(", ")}) RETURNING *`;
          return readKey(onlyRow([await transaction.run(sql, Object.values(columns))]));
        }),
      );
    },

    ...readingKeys(database),

    update(tenant, id, changes, etag, check) {
      return database.transaction(tenant, async (transaction) => {
        // From here on nobody else changes keys: they wait for the counter.
        const version = await nextVersion(transaction, countedKeys);
        const change = { table: "api_keys", what: "key", key: Where.ofTenant(tenant).equal("id", id), etag };
        const record = readKey(await updateRow(transaction, change, { ...changedColumns(changes), version }, clock.wall()));
        await check?.(changingKeys(transaction));
        return record;
      });
    },

    async touch(uses) {
      const sql = "UPDATE api_keys SET last_used_at = ? WHERE tenant = ? AND id = ? AND (last_used_at IS NULL OR last_used_at < ?)";
      await database.write(
        allTenants,
        uses.map(({ tenant, id, at }) => ({ sql, values: [at, tenant, id, at] })),
      );
    },

    findById: (id) => findKey(database, allTenants, new Where().equal("id", id)),
    findBySha256: (hash) => findKey(database, allTenants, new Where().equal("hash", hash).equal("hash_kind", "sha256")),
    version: () => readVersion(database, countedKeys),

    async changesSince(version, limit) {
      const sql = "SELECT * FROM api_keys WHERE version > ? ORDER BY version LIMIT ?";
      return (await database.rows(allTenants, sql, [version, limit])).map(readKey);
    },

    async isEmpty() {
      return (await database.rows(allTenants, "SELECT id FROM api_keys LIMIT 1")).length === 0;
    },
  };
}

function readingKeys(source: Pick<Database, "rows">): Pick<KeyStore, "get" | "list"> {
  return {
    get: (tenant, id) => findKey(source, tenant, Where.ofTenant(tenant).equal("id", id)),

    list(tenant, { project, owner, app, role, search, idPrefix, hashPrefix, revoked }, page) {
      const where = Where.ofTenant(tenant)
        .equal("project", project)
        .equal("owner", owner)
        .equal("app", app)
        .contains(["roles"], role === undefined ? undefined : JSON.stringify(role))
        .contains(["name"], search)
        .startsWith("id", idPrefix)
        .startsWith("hash", hashPrefix);
      if (revoked === false) where.and("revoked_at IS NULL");
      const order = [
        { column: "created_at", kind: "number" },
        { column: "id", kind: "text" },
      ] as const;
      return readPage(source, tenant, { name: "keys", from: "api_keys", where, order, descending: true, read: readKey }, page);
    },
  };
}

/** Whoever asks them has the counter of keys locked: `nextVersion` or `holdVersion`. */
export function changingKeys(transaction: Transaction): ChangingKeys {
  const inside: Pick<Database, "rows"> = { rows: async (_, sql, values) => (await transaction.run(sql, values)).rows };
  return { keys: readingKeys(inside), projects: { get: (tenant, id) => findProject(inside, tenant, id) } };
}

async function findKey(source: Pick<Database, "rows">, scope: TenantScope, where: Where): Promise<ApiKeyRecord | undefined> {
  const [row] = await source.rows(scope, `SELECT * FROM api_keys${where.sql}`, where.values);
  return row === undefined ? undefined : readKey(row);
}

function columnsOf(key: NewApiKey): Record<string, SqlValue> {
  return {
    id: key.id,
    project: key.project,
    owner: key.owner,
    name: key.name,
    hash: key.hash,
    hash_kind: key.hashKind,
    pepper_id: key.pepperId,
    prefix: key.prefix,
    roles: JSON.stringify(key.roles),
    scopes: JSON.stringify(key.scopes),
    models: JSON.stringify(key.models),
    endpoints: JSON.stringify(key.endpoints),
    ip_allow: JSON.stringify(key.ipAllow),
    app: key.app,
    cache_salt: key.cacheSalt,
    enabled: flag(key.enabled),
    expires_at: key.expiresAt ?? null,
    rotated_from: key.rotatedFrom,
  };
}

/** A time that is there but undefined is taken away. */
function changedColumns(changes: ApiKeyChanges): Record<string, SqlValue | undefined> {
  return {
    name: changes.name,
    owner: changes.owner,
    hash: changes.hash,
    pepper_id: changes.pepperId,
    roles: listText(changes.roles),
    scopes: listText(changes.scopes),
    models: listText(changes.models),
    endpoints: listText(changes.endpoints),
    ip_allow: listText(changes.ipAllow),
    app: changes.app,
    cache_salt: changes.cacheSalt,
    enabled: flag(changes.enabled),
    ...("expiresAt" in changes ? { expires_at: changes.expiresAt ?? null } : {}),
    ...("revokedAt" in changes ? { revoked_at: changes.revokedAt ?? null } : {}),
  };
}

function listText(list: readonly string[] | undefined): string | undefined {
  return list === undefined ? undefined : JSON.stringify(list);
}

function readKey(row: Row): ApiKeyRecord {
  return {
    id: readText(row, "id"),
    tenant: readText(row, "tenant"),
    project: readText(row, "project"),
    owner: readText(row, "owner"),
    name: readText(row, "name"),
    hash: readText(row, "hash"),
    hashKind: readText(row, "hash_kind") === "hmac" ? "hmac" : "sha256",
    pepperId: readText(row, "pepper_id"),
    prefix: readText(row, "prefix"),
    roles: readTexts(row, "roles"),
    scopes: readTexts(row, "scopes"),
    models: readTexts(row, "models"),
    endpoints: readTexts(row, "endpoints"),
    ipAllow: readTexts(row, "ip_allow"),
    app: readText(row, "app"),
    cacheSalt: readText(row, "cache_salt"),
    enabled: readBoolean(row, "enabled"),
    createdAt: readNumber(row, "created_at"),
    updatedAt: readNumber(row, "updated_at"),
    expiresAt: readOptionalNumber(row, "expires_at"),
    revokedAt: readOptionalNumber(row, "revoked_at"),
    lastUsedAt: readOptionalNumber(row, "last_used_at"),
    rotatedFrom: readText(row, "rotated_from"),
    version: readNumber(row, "version"),
    etag: etagOf(row),
  };
}
