/** Calling applications, as some surfaces name them (surfaces.md U21 to U23). Their metrics come from the request log. */
import type { Page, PageRequest } from "./page.ts";

export interface CallerAgentRecord {
  readonly tenant: string;
  /** The gateway's ULID. */
  readonly id: string;
  /** As callers send it; never changes. Unique within the tenant. */
  readonly key: string;
  readonly description: string;
  readonly model: string;
  readonly environment: string;
  /** Whether it came by itself, with a call. */
  readonly discovered: boolean;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly updatedAt: number;
  /** Of its last call, as far as noted; undefined before the first. */
  readonly lastSeenAt: number | undefined;
  readonly etag: string;
}

export type NewCallerAgent = Pick<CallerAgentRecord, "key" | "description" | "model" | "environment" | "discovered">;
export type CallerAgentChanges = Partial<Pick<CallerAgentRecord, "description" | "model" | "environment">>;

export interface CallerAgentStore {
  /** The one that stands, or a new one; undefined where the tenant has `max` already. Two at once make one. */
  register(tenant: string, agent: NewCallerAgent, max: number): Promise<CallerAgentRecord | undefined>;
  get(tenant: string, id: string): Promise<CallerAgentRecord | undefined>;
  getByKey(tenant: string, key: string): Promise<CallerAgentRecord | undefined>;
  /** By key. */
  list(tenant: string, page: PageRequest): Promise<Page<CallerAgentRecord>>;
  update(tenant: string, id: string, changes: CallerAgentChanges, etag?: string): Promise<CallerAgentRecord>;
  delete(tenant: string, id: string, etag?: string): Promise<void>;
  /** Notes last calls by key; unknown ones are passed over. */
  touch(calls: readonly { readonly tenant: string; readonly key: string; readonly at: number }[]): Promise<void>;
}
