/** Limits and budgets as they are set: what they mean is the limits' own. */
import type { Page, PageRequest } from "./page.ts";

export interface LimitRuleRecord {
  readonly tenant: string;
  /** Unique within the tenant. */
  readonly id: string;
  /** `tenant`, `project`, `key`, `end_user`, `model`, `route`, ... */
  readonly subjectKind: string;
  /** Which one; empty: each of the kind. */
  readonly subjectId: string;
  /** JSON text of one object. */
  readonly settingsJson: string;
  readonly enabled: boolean;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly etag: string;
}

export type NewLimitRule = Pick<LimitRuleRecord, "id" | "subjectKind" | "subjectId" | "settingsJson" | "enabled">;
export type LimitRuleChanges = Partial<Pick<LimitRuleRecord, "settingsJson" | "enabled">>;

export interface LimitRuleFilter {
  readonly subjectKind?: string | undefined;
  readonly subjectId?: string | undefined;
}

export interface LimitRuleStore {
  create(tenant: string, rule: NewLimitRule): Promise<LimitRuleRecord>;
  get(tenant: string, id: string): Promise<LimitRuleRecord | undefined>;
  /** By id. */
  list(tenant: string, filter: LimitRuleFilter, page: PageRequest): Promise<Page<LimitRuleRecord>>;
  update(tenant: string, id: string, changes: LimitRuleChanges, etag?: string): Promise<LimitRuleRecord>;
  delete(tenant: string, id: string, etag?: string): Promise<void>;
  /** Rises with every change to any rule of any tenant, deletions included; 0 where nothing ever changed. */
  version(): Promise<number>;
  /** The rules of all tenants, by tenant and id: what the gateway enforces. */
  listAll(page: PageRequest): Promise<Page<LimitRuleRecord>>;
}
