/** Tenants, and the projects inside them. A project belongs to exactly one tenant; keys belong to a project. */
import type { KeyCheck } from "./key-store.ts";
import type { Page, PageRequest } from "./page.ts";

export interface TenantRecord {
  /** `^[a-z0-9][a-z0-9_.-]{0,63}$`. */
  readonly id: string;
  readonly name: string;
  /** IANA name: calendar windows of budgets begin by it. */
  readonly timeZone: string;
  readonly enabled: boolean;
  /** JSON text of one object, for whoever keeps settings by tenant. */
  readonly settingsJson: string;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly updatedAt: number;
  /** Changes with every change. */
  readonly etag: string;
}

export type TenantChanges = Partial<Pick<TenantRecord, "name" | "timeZone" | "enabled" | "settingsJson">>;

/**
 * Errors of every store: `store_unavailable` where the database is away, `timeout` where it took too long,
 * `already_exists` of create, `not_found` and `etag_mismatch` of update and delete.
 */
export interface TenantStore {
  create(tenant: string, facts: Required<TenantChanges>): Promise<TenantRecord>;
  get(tenant: string): Promise<TenantRecord | undefined>;
  /** Of the whole gateway, by id: for its operators only. */
  list(page: PageRequest): Promise<Page<TenantRecord>>;
  /** With an etag only where the record still has it. */
  update(tenant: string, changes: TenantChanges, etag?: string): Promise<TenantRecord>;
}

export interface ProjectRecord {
  readonly tenant: string;
  /** Unique within the tenant. */
  readonly id: string;
  readonly name: string;
  readonly enabled: boolean;
  /** JSON text of one object. */
  readonly settingsJson: string;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly etag: string;
}

export type ProjectChanges = Partial<Pick<ProjectRecord, "name" | "enabled" | "settingsJson">>;

export interface ProjectStore {
  create(tenant: string, id: string, facts: Required<ProjectChanges>): Promise<ProjectRecord>;
  get(tenant: string, id: string): Promise<ProjectRecord | undefined>;
  list(tenant: string, page: PageRequest): Promise<Page<ProjectRecord>>;
  /** What `check` throws undoes the change; no change of keys, and none of another project that is checked, comes between the two. */
  update(tenant: string, id: string, changes: ProjectChanges, etag?: string, check?: KeyCheck): Promise<ProjectRecord>;
}
