/** Whether a tenant can still be administered by a key of the store. */
import type { ApiKeyRecord, KeyStore } from "../core/key-store.ts";
import { maxPageSize } from "../core/page.ts";
import { holdsScope } from "../core/scope.ts";
import type { ProjectStore } from "../core/tenant-store.ts";
import { readGrants } from "./grants.ts";
import { isForOneCall } from "./key-format.ts";

export interface AdminKeyStores {
  readonly keys: Pick<KeyStore, "list">;
  /** Absent: every project counts as enabled. */
  readonly projects?: Pick<ProjectStore, "get"> | undefined;
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
