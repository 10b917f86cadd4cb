/**
 * Everything durable, behind one set of interfaces. The tenant is an argument of every call, or a field of every record of
 * a batch; what looks over all tenants says so and why. Times are milliseconds since 1970, money is nano-dollars.
 *
 * Every call may throw GatewayError `store_unavailable` (the database is away; repeat later) and `timeout` (the query took
 * too long). create throws `already_exists`; update and delete throw `not_found` and `etag_mismatch`; lists throw
 * `invalid_request` for a cursor that is none of theirs.
 */
import type { AuditStore } from "./audit-store.ts";
import type { CallerAgentStore } from "./caller-agent-store.ts";
import type { IdempotencyStore } from "./idempotency-store.ts";
import type { KeyStore } from "./key-store.ts";
import type { LedgerStore } from "./ledger-store.ts";
import type { LimitRuleStore } from "./limit-rule-store.ts";
import type { PriceStore } from "./price-store.ts";
import type { RequestLogStore, SessionStore } from "./request-log-store.ts";
import type { ResponseStore } from "./response-store.ts";
import type { ProjectStore, TenantStore } from "./tenant-store.ts";

/** Where records are: in this process's memory, in a file of this machine, in a database that replicas share. */
export type StoreEngine = "memory" | "sqlite" | "postgres";

export interface Stores {
  readonly engine: StoreEngine;
  readonly tenants: TenantStore;
  readonly projects: ProjectStore;
  readonly keys: KeyStore;
  readonly limitRules: LimitRuleStore;
  readonly prices: PriceStore;
  readonly ledger: LedgerStore;
  readonly requestLog: RequestLogStore;
  readonly sessions: SessionStore;
  readonly callerAgents: CallerAgentStore;
  readonly audit: AuditStore;
  readonly idempotency: IdempotencyStore;
  readonly responses: ResponseStore;
  /** Whether the database answers now: for readiness. Never throws. */
  isThere(): Promise<boolean>;
  /** Lets what was begun end, then closes; later calls fail as `store_unavailable`. */
  close(): Promise<void>;
}
