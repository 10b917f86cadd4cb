/** dragoman.admin.v1.KeyService. */
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { type ImportedKey, type Key, KeySchema, type KeyService } from "../../../gen/dragoman/admin/v1/key_service_pb.ts";
import { AccessRole } from "../../../gen/dragoman/v1/auth_pb.ts";
import { type KeyAdministration, type KeyEdit, type KeyFacts, noSuchKey } from "../../access/key-administration.ts";
import { sha256OfKey } from "../../access/key-file.ts";
import { GatewayError, invalidField } from "../../core/error.ts";
import type { ApiKeyRecord, KeyStore } from "../../core/key-store.ts";
import { defaultProject, type Role } from "../../core/principal.ts";
import { isScope, scopes as knownScopes, type Scope } from "../../core/scope.ts";
import type { TenantStore } from "../../core/tenant-store.ts";
import { type AdminCall, adminCallOf } from "./admin-call.ts";
import { readPage } from "./page.ts";
import { readSpan, readTime, writeTime } from "./timestamp.ts";
import { readUpdateMask } from "./update-mask.ts";

export interface KeyServiceOptions {
  readonly administration: KeyAdministration;
  readonly keys: Pick<KeyStore, "list">;
  readonly tenants: Pick<TenantStore, "get">;
}

const changeable = [
  ...["name", "owner", "roles", "scopes", "models", "endpoints"],
  ...["ip_allow", "app", "cache_salt", "enabled", "expire_time"],
] as const;

const defaultOverlapMs = 24 * 3_600_000;

export function createKeyService({ administration, keys, tenants }: KeyServiceOptions): ServiceImpl<typeof KeyService> {
  return {
    async createKey({ tenant: named, key, environment }, context) {
      const call = adminCallOf(context);
      const tenant = await existing(call, named);
      const facts = readFacts(required(key, "key"), "key");
      call.about({ kind: "key", id: "", tenant });
      const { record, secret } = await administration.create(tenant, facts, call.principal, environment || "live");
      call.about({ kind: "key", id: record.id, tenant });
      const written = writeKey(record);
      call.changed(KeySchema, undefined, written);
      return { key: written, secret: secret.reveal() };
    },

    async getKey({ tenant, id }, context) {
      const call = adminCallOf(context);
      const record = await administration.get(call.tenant(tenant), id);
      const { app } = call.principal;
      if (app !== "" && record.app !== app) throw noSuchKey(id);
      return { key: writeKey(record) };
    },

    async listKeys({ tenant: named, project, owner, search, hideRevoked, ...page }, context) {
      const call = adminCallOf(context);
      const tenant = call.tenant(named);
      const filter = {
        project: project || undefined,
        owner: owner || undefined,
        app: call.principal.app || undefined,
        search: search || undefined,
        revoked: hideRevoked ? false : undefined,
      };
      const { items, next = "" } = await keys.list(tenant, filter, readPage(page));
      return { keys: items.map(writeKey), nextPageToken: next };
    },

    async updateKey({ tenant: named, key, updateMask, etag }, context) {
      const call = adminCallOf(context);
      const tenant = call.tenant(named);
      const { id } = required(key, "key");
      if (id === "") throw invalidField("key.id", "is required");
      const fields = readUpdateMask(updateMask, changeable);
      call.about({ kind: "key", id, tenant, details: { fields: [...fields] } });
      const edit = readEdit(required(key, "key"), fields);
      const before = writeKey(await administration.get(tenant, id));
      const after = writeKey(await administration.update(tenant, id, edit, call.principal, etag || undefined));
      call.changed(KeySchema, before, after);
      return { key: after };
    },

    async rotateKey({ tenant: named, id, overlap, expireTime }, context) {
      const call = adminCallOf(context);
      const tenant = call.tenant(named);
      call.about({ kind: "key", id, tenant });
      const overlapMs = overlap === undefined ? defaultOverlapMs : readSpan(overlap);
      const rotated = await administration.rotate(tenant, id, { overlapMs, expiresAt: readTime(expireTime) }, call.principal);
      call.about({ kind: "key", id, tenant, details: { replaced_by: rotated.record.id } });
      call.changed(KeySchema, undefined, writeKey(rotated.record));
      return { key: writeKey(rotated.record), secret: rotated.secret.reveal(), replaced: writeKey(rotated.replaced) };
    },

    async revokeKey({ tenant: named, id, etag }, context) {
      const call = adminCallOf(context);
      const tenant = call.tenant(named);
      call.about({ kind: "key", id, tenant });
      return { key: writeKey(await administration.revoke(tenant, id, call.principal, etag || undefined)) };
    },

    async importKeys({ tenant: named, keys: imported }, context) {
      const call = adminCallOf(context);
      const tenant = await existing(call, named);
      // All are read before any is stored: a wrong one in the middle stores nothing.
      const wanted = imported.map((entry, index) => readImported(entry, `keys[${index}]`));
      const records: ApiKeyRecord[] = [];
      let created = 0;
      for (const { hash, facts } of wanted) {
        const result = await administration.import(tenant, hash, facts, call.principal);
        records.push(result.record);
        if (result.created) created++;
        call.about({ kind: "key", id: records[0]?.id ?? "", tenant, details: { ids: records.map(({ id }) => id), created } });
      }
      return { keys: records.map(writeKey), created };
    },
  };

  /** Whoever names another tenant must not make keys of one that is not there. */
  async function existing(call: AdminCall, named: string): Promise<string> {
    const tenant = call.tenant(named);
    if (tenant !== call.principal.tenant && (await tenants.get(tenant)) === undefined) {
      throw new GatewayError("not_found", `there is no tenant "${tenant.slice(0, 64)}"`);
    }
    return tenant;
  }
}

const roleOf: Readonly<Partial<Record<AccessRole, Role>>> = {
  [AccessRole.VIEWER]: "viewer",
  [AccessRole.MEMBER]: "member",
  [AccessRole.OPERATOR]: "operator",
  [AccessRole.ADMIN]: "admin",
  [AccessRole.AUDITOR]: "auditor",
};

const roleNumbers: Readonly<Record<Role, AccessRole>> = {
  viewer: AccessRole.VIEWER,
  member: AccessRole.MEMBER,
  operator: AccessRole.OPERATOR,
  admin: AccessRole.ADMIN,
  auditor: AccessRole.AUDITOR,
};

function readFacts(key: Key, path: string): KeyFacts {
  const { project, owner, name, models, endpoints, ipAllow, app, cacheSalt } = key;
  return {
    ...{ project: project || defaultProject, owner, name, models, endpoints, ipAllow, app, cacheSalt },
    roles: readRoles(key),
    scopes: readScopes(key, path),
    expiresAt: readTime(key.expireTime),
  };
}

function readEdit(key: Key, fields: ReadonlySet<(typeof changeable)[number]>): KeyEdit {
  const { name, owner, models, endpoints, ipAllow, app, cacheSalt, enabled } = key;
  return {
    ...(fields.has("name") ? { name } : {}),
    ...(fields.has("owner") ? { owner } : {}),
    ...(fields.has("roles") ? { roles: readRoles(key) } : {}),
    ...(fields.has("scopes") ? { scopes: readScopes(key, "key") } : {}),
    ...(fields.has("models") ? { models } : {}),
    ...(fields.has("endpoints") ? { endpoints } : {}),
    ...(fields.has("ip_allow") ? { ipAllow } : {}),
    ...(fields.has("app") ? { app } : {}),
    ...(fields.has("cache_salt") ? { cacheSalt } : {}),
    ...(fields.has("enabled") ? { enabled } : {}),
    ...(fields.has("expire_time") ? { expiresAt: readTime(key.expireTime) } : {}),
  };
}

function readRoles({ roles }: Key): Role[] {
  return roles.flatMap((role) => roleOf[role] ?? []);
}

function readScopes({ scopes }: Key, path: string): Scope[] {
  return scopes.map((scope, index) => {
    if (isScope(scope)) return scope;
    throw invalidField(`${path}.scopes[${index}]`, `is no scope; there are ${knownScopes.join(", ")}`);
  });
}

function readImported(
  { credential, key }: ImportedKey,
  path: string,
): { hash: string; facts: KeyFacts & { id?: string; prefix?: string } } {
  if (credential.case === undefined) throw invalidField(path, "holds neither a secret nor a sha256");
  const facts = readFacts(key ?? create(KeySchema), `${path}.key`);
  const id = key?.id ?? "";
  if (id !== "" && !/^[a-z0-9-]{1,64}$/.test(id)) throw invalidField(`${path}.key.id`, "is no id; use up to 64 of a-z, 0-9 and -");
  const hash = credential.case === "secret" ? sha256OfKey(credential.value) : credential.value.toLowerCase();
  return { hash, facts: id === "" ? facts : { ...facts, id } };
}

function writeKey(record: ApiKeyRecord): Key {
  const { id, tenant, project, name, owner, prefix, app, cacheSalt, enabled, rotatedFrom, etag } = record;
  return create(KeySchema, {
    ...{ id, tenant, project, name, owner, prefix, app, cacheSalt, enabled, rotatedFrom, etag },
    roles: record.roles.map((role) => roleNumbers[role]),
    scopes: [...record.scopes],
    models: [...record.models],
    endpoints: [...record.endpoints],
    ipAllow: [...record.ipAllow],
    createTime: writeTime(record.createdAt),
    updateTime: writeTime(record.updatedAt),
    ...times({ expireTime: record.expiresAt, revokeTime: record.revokedAt, lastUseTime: record.lastUsedAt }),
  });
}

function times<Name extends string>(named: Readonly<Record<Name, number | undefined>>) {
  const entries = Object.entries<number | undefined>(named).flatMap(([name, ms]) => (ms === undefined ? [] : [[name, writeTime(ms)]]));
  return Object.fromEntries(entries) as Partial<Record<Name, ReturnType<typeof writeTime>>>;
}

function required<Value>(value: Value | undefined, field: string): Value {
  if (value === undefined) throw invalidField(field, "is required");
  return value;
}
