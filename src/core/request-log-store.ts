/** The request log at rest: one record per call of every surface (surfaces.md 2.5). */
import type { Page, PageRequest } from "./page.ts";

export const requestStatuses = ["success", "error", "timeout", "cancelled", "blocked"] as const;
export type RequestStatus = (typeof requestStatuses)[number];

export const retentions = ["none", "metadata", "full"] as const;
export type Retention = (typeof retentions)[number];

export interface LoggedAttempt {
  readonly target: string;
  /** `success`, `error`, ... */
  readonly status: string;
  /** Reason of a failure; empty on success. */
  readonly error: string;
  readonly ms: number;
}

/** Texts are empty and counts undefined where a fact is not known. Times in milliseconds since 1970, spans in milliseconds. */
export interface RequestLogRecord {
  /** The gateway's own ULID. */
  readonly requestId: string;
  readonly idempotencyKey: string;
  /** Whether it was answered with what stood under that key. */
  readonly replayed: boolean;
  readonly externalRequestId: string;
  readonly tenant: string;
  readonly project: string;
  /** Owner of the key. */
  readonly user: string;
  readonly endUser: string;
  readonly subjectType: "session" | "app" | "oidc";
  readonly keyId: string;
  /** The app a key is bound to, or the policy that the call named. */
  readonly policyKey: string;
  readonly policyRevision: number | undefined;
  readonly action: string;
  readonly rolloutState: string;
  /** JSON text of a list. */
  readonly decisionsJson: string;
  readonly plan: string;
  readonly planResolved: string;
  readonly feature: string;
  readonly cohort: string;
  readonly region: string;
  readonly locale: string;
  readonly country: string;
  readonly platform: string;
  readonly trialStatus: string;
  readonly callerAgent: string;
  readonly sessionId: string;
  readonly environment: string;
  readonly workspaceId: string;
  readonly xnamespaceId: string;
  readonly sourceService: string;
  /** As the caller names it. */
  readonly operation: string;
  readonly surface: string;
  readonly requestKind: string;
  readonly stream: boolean;
  readonly requestedModel: string;
  readonly canonicalModel: string;
  readonly provider: string;
  readonly upstreamModel: string;
  readonly target: string;
  readonly account: string;
  readonly usedFallback: boolean;
  readonly attempts: readonly LoggedAttempt[];
  readonly cascadeStep: string;
  readonly cacheHit: boolean;
  readonly status: RequestStatus;
  readonly httpStatus: number;
  readonly errorCode: string;
  readonly latencyMs: number;
  readonly ttftMs: number | undefined;
  /** By name, the ten of surfaces.md A14. */
  readonly timings: Readonly<Record<string, number>>;
  readonly promptTokens: number | undefined;
  readonly completionTokens: number | undefined;
  readonly totalTokens: number | undefined;
  readonly reasoningTokens: number | undefined;
  readonly cachedTokens: number | undefined;
  readonly usageEstimated: boolean;
  /** Undefined where a price is missing. */
  readonly costNano: bigint | undefined;
  readonly pricingVersion: string;
  readonly finishReason: string;
  readonly toolCallsCount: number;
  readonly retention: Retention;
  readonly createdAt: number;
  /** SHA-256 in hex of the body that the upstream sent and of the body that was sent to the client; empty where not taken. */
  readonly upstreamBodySha256: string;
  readonly sentBodySha256: string;
  readonly traceId: string;
}

/** What retention allows, redacted. Kept in a table of its own, and for a shorter time. */
export interface RequestContent {
  readonly requestSummary: string;
  readonly responseSummary: string;
  readonly requestBody: string;
  readonly responseBody: string;
  /** JSON texts of lists. */
  readonly toolsJson: string;
  readonly findingsJson: string;
}

export interface LoggedRequest {
  readonly record: RequestLogRecord;
  /** Undefined with retention none. */
  readonly content: RequestContent | undefined;
}

export interface RequestLogFilter {
  readonly project?: string | undefined;
  readonly user?: string | undefined;
  readonly endUser?: string | undefined;
  readonly keyId?: string | undefined;
  readonly policyKey?: string | undefined;
  readonly callerAgent?: string | undefined;
  readonly sessionId?: string | undefined;
  readonly environment?: string | undefined;
  readonly surface?: string | undefined;
  readonly requestKind?: string | undefined;
  readonly provider?: string | undefined;
  readonly externalRequestId?: string | undefined;
  readonly errorCode?: string | undefined;
  /** Any of them. */
  readonly statuses?: readonly RequestStatus[] | undefined;
  /** Text anywhere in the requested or upstream model, without regard to the case of ASCII letters. */
  readonly modelSearch?: string | undefined;
  readonly from?: number | undefined;
  readonly until?: number | undefined;
}

export interface RequestLogPage extends PageRequest {
  /** Records to pass over where there is no cursor: for surfaces that number their pages. */
  readonly skip?: number | undefined;
}

export type RequestDimension =
  | "callerAgent"
  | "environment"
  | "upstreamModel"
  | "requestedModel"
  | "provider"
  | "surface"
  | "keyId"
  | "project";

/** What the records of one group have in common and in sum. */
export interface RequestSummary {
  readonly group: Readonly<Partial<Record<RequestDimension, string>>>;
  readonly requests: number;
  readonly byStatus: Readonly<Partial<Record<RequestStatus, number>>>;
  readonly promptTokens: bigint;
  readonly completionTokens: bigint;
  readonly costNano: bigint;
  readonly unpriced: number;
  /** Of all records, by nearest rank; undefined where there are none. */
  readonly latencyMs: { readonly p50: number; readonly p90: number; readonly p99: number } | undefined;
  readonly firstAt: number;
  readonly lastAt: number;
}

export interface PruneLimits {
  /** Records that are older go; milliseconds since 1970. */
  readonly before?: number | undefined;
  /** Contents that are older go, their records stay. */
  readonly contentBefore?: number | undefined;
  /** Most bytes of records and contents together; the oldest go first. */
  readonly maxBytes?: number | undefined;
  /** Most records. */
  readonly maxRecords?: number | undefined;
}

export interface RequestLogStore {
  /** In one transaction. A record that stands already is passed over. Keeps sessions up to date. */
  append(requests: readonly LoggedRequest[]): Promise<void>;
  /** Newest first. */
  query(tenant: string, filter: RequestLogFilter, page: RequestLogPage): Promise<Page<RequestLogRecord>>;
  count(tenant: string, filter: RequestLogFilter): Promise<number>;
  get(tenant: string, requestId: string): Promise<LoggedRequest | undefined>;
  /** At most 10 000 groups, most requests first. */
  summarise(tenant: string, filter: RequestLogFilter, by: readonly RequestDimension[]): Promise<readonly RequestSummary[]>;
  /** Over one tenant, or over all where it is undefined; `maxBytes` and `maxRecords` count what is pruned over. In small steps. */
  prune(tenant: string | undefined, limits: PruneLimits): Promise<{ readonly records: number; readonly contents: number }>;
}

/** Calls that share a session id. */
export interface SessionRecord {
  readonly tenant: string;
  readonly id: string;
  /** Of the last call, as environment and status. */
  readonly callerAgent: string;
  readonly environment: string;
  readonly lastStatus: RequestStatus;
  readonly requests: number;
  readonly errors: number;
  readonly promptTokens: bigint;
  readonly completionTokens: bigint;
  readonly costNano: bigint;
  readonly firstAt: number;
  readonly lastAt: number;
}

export interface SessionFilter {
  readonly callerAgent?: string | undefined;
  readonly environment?: string | undefined;
  /** Of the first call. */
  readonly from?: number | undefined;
  readonly until?: number | undefined;
}

/** Written by RequestLogStore.append alone. */
export interface SessionStore {
  get(tenant: string, id: string): Promise<SessionRecord | undefined>;
  /** The one that began last first. */
  list(tenant: string, filter: SessionFilter, page: PageRequest): Promise<Page<SessionRecord>>;
}
