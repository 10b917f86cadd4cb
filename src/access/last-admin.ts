/** Whether a tenant can still be administered by a key of the store. */
import type { GatewayError } from "../core/error.ts";
import type { ApiKeyRecord, ChangingKeys, KeyCheck, KeyStore } from "../core/key-store.ts";
import { maxPageSize } from "../core/page.ts";
import type { Principal } from "../core/principal.ts";
import { holdsScope } from "../core/scope.ts";
import { readGrants } from "./grants.ts";
import { isForOneCall } from "./key-format.ts";

export interface AdminKeyStores {
  readonly keys: Pick<KeyStore, "list">;
  /** Absent: every project counts as enabled. */
  readonly projects?: ChangingKeys["projects"] | undefined;
}

/** Whether a key may administer everything of its tenant at `now`, in milliseconds since 1970. */
export function isAdminKey(record: ApiKeyRecord, now: number): boolean {
  const { enabled, revokedAt, expiresAt, models, endpoints, app } = record;
  if (!enabled || revokedAt !== undefined || (expiresAt !== undefined && expiresAt <= now)) return false;
  if (models.length > 0 || endpoints.length > 0 || app !== "" || isForOneCall(record)) return false;
  const { roles, scopes } = readGrants(record);
  return roles.has("admin") && holdsScope(scopes, "admin");
}

/** Whether a tenant has such a key in an enabled project. */
export async function hasAdminKey({ keys, projects }: AdminKeyStores, tenant: string, now: number): Promise<boolean> {
  for (let cursor: string | undefined; ; ) {
    const page = await keys.list(tenant, { role: "admin", revoked: false }, { size: maxPageSize, cursor });
    for (const record of page.items) {
      if (!isAdminKey(record, now)) continue;
      if ((await projects?.get(tenant, record.project))?.enabled !== false) return true;
    }
    cursor = page.next;
    if (cursor === undefined) return false;
  }
}

/**
 * Nobody locks everybody out by mistake: a check that throws invalid_request where a change would leave a tenant without a key
 * that administers it. It runs inside the change, so of two admins who end each other's keys at once one stays. Undefined
 * where who changes something calls by other means than a key of the tenant: they are still in.
 */
export function keepingAdmin(maker: Principal, tenant: string, now: number, refuse: () => GatewayError): KeyCheck | undefined {
  if (maker.kind !== "key" || maker.tenant !== tenant) return undefined;
  return async (changing) => {
    const own = await changing.keys.get(tenant, maker.id);
    // A key that is configured is not in the store; one for a single call is over by now, and was made for emergencies.
    if (own === undefined || isForOneCall(own) || (await hasAdminKey(changing, tenant, now))) return;
    throw refuse();
  };
}
