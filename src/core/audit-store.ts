/** What administrators did: append-only, each entry bound to the one before it by hash, one chain per tenant. */
import type { Page, PageRequest } from "./page.ts";

export interface NewAuditEntry {
  /** Milliseconds since 1970. */
  readonly at: number;
  /** Id of the principal; never a credential. */
  readonly actor: string;
  /** `keys.create`, `tenants.update`, ... */
  readonly action: string;
  /** Kind and id of what it was done to. */
  readonly subjectKind: string;
  readonly subjectId: string;
  readonly outcome: "success" | "refused" | "failed";
  /** JSON text of one object without secrets: which fields changed, from where it came. */
  readonly detailsJson: string;
  readonly requestId: string;
}

export interface AuditRecord extends NewAuditEntry {
  readonly tenant: string;
  /** 1 for the first of the tenant, then without gaps. */
  readonly sequence: number;
  /** Hash of the entry before it; 64 zeros for the first. */
  readonly prevHash: string;
  /** SHA-256 in hex over prevHash and the entry's fields. */
  readonly hash: string;
}

export interface AuditFilter {
  readonly actor?: string | undefined;
  /** Exact, or a beginning that ends in `.` as `keys.`. */
  readonly action?: string | undefined;
  readonly subjectKind?: string | undefined;
  readonly subjectId?: string | undefined;
  readonly from?: number | undefined;
  readonly until?: number | undefined;
}

export interface AuditVerification {
  /** Entries that were checked. */
  readonly entries: number;
  /** Sequence of the first entry that is missing or is not what was written; undefined where the chain holds. */
  readonly brokenAt: number | undefined;
}

export interface AuditStore {
  append(tenant: string, entry: NewAuditEntry): Promise<AuditRecord>;
  /** Newest first. */
  list(tenant: string, filter: AuditFilter, page: PageRequest): Promise<Page<AuditRecord>>;
  /** Reads the whole chain. */
  verify(tenant: string): Promise<AuditVerification>;
}
