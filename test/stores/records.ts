/** Records for tests, complete and plain; what matters is passed in. */
import { create } from "@bufbuild/protobuf";
import { UsageBasis, UsageSchema } from "../../gen/dragoman/v1/usage_pb.ts";
import type { NewAuditEntry } from "../../src/core/audit-store.ts";
import { ulid } from "../../src/core/id.ts";
import type { NewApiKey } from "../../src/core/key-store.ts";
import type { LedgerIntent, LedgerRow } from "../../src/core/ledger-row.ts";
import type { LoggedRequest, RequestContent, RequestLogRecord } from "../../src/core/request-log-store.ts";

export const someTime = 1_700_000_000_000;

export function keyFor(id: string, facts: Partial<NewApiKey> = {}): NewApiKey {
  return {
    id,
    project: "default",
    owner: "ada",
    name: `key ${id}`,
    hash: id.padEnd(64, "0"),
    hashKind: "hmac",
    pepperId: "p1",
    prefix: `dgm_test_${id}`,
    roles: ["member"],
    scopes: ["chat", "embed"],
    models: [],
    endpoints: [],
    ipAllow: [],
    app: "",
    cacheSalt: "",
    enabled: true,
    expiresAt: undefined,
    rotatedFrom: "",
    ...facts,
  };
}

export function intentFor(facts: Partial<LedgerIntent> = {}): LedgerIntent {
  return {
    usageId: ulid(),
    requestId: "request-1",
    attempt: 1,
    tenant: "acme",
    project: "default",
    principal: "key-1",
    endUser: "",
    surface: "v1",
    operation: "generate",
    requestedModel: "fast",
    route: "",
    provider: "sim",
    target: "sim/echo",
    upstreamModel: "echo",
    reservedNano: 5_000n,
    estimatedInputTokens: 10,
    pricingVersion: "v1",
    startedAt: someTime,
    epoch: "epoch-1",
    ...facts,
  };
}

export function ledgerRow(facts: Partial<LedgerRow> = {}): LedgerRow {
  return {
    ...intentFor(),
    state: "settled",
    outcome: "success",
    status: "success",
    httpStatus: 200,
    usage: create(UsageSchema, { inputTokens: 10, outputTokens: 20, cacheReadTokens: 4, basis: UsageBasis.PROVIDER }),
    costNano: 1_000n,
    chargeNano: 1_200n,
    endedAt: someTime + 50,
    durationMs: 50.5,
    firstContentMs: 12.25,
    upstreamRequestId: "up-1",
    ...facts,
  };
}

export function logged(facts: Partial<RequestLogRecord> = {}, content?: Partial<RequestContent>): LoggedRequest {
  const record: RequestLogRecord = {
    requestId: ulid(),
    idempotencyKey: "",
    replayed: false,
    externalRequestId: "",
    tenant: "acme",
    project: "default",
    user: "ada",
    endUser: "",
    subjectType: "session",
    keyId: "key-1",
    policyKey: "",
    policyRevision: undefined,
    action: "",
    rolloutState: "",
    decisionsJson: "[]",
    plan: "",
    planResolved: "",
    feature: "",
    cohort: "",
    region: "",
    locale: "",
    country: "",
    platform: "",
    trialStatus: "",
    callerAgent: "",
    sessionId: "",
    environment: "",
    workspaceId: "",
    xnamespaceId: "",
    sourceService: "",
    operation: "",
    surface: "v1",
    requestKind: "chat",
    stream: true,
    requestedModel: "fast",
    canonicalModel: "fast",
    provider: "sim",
    upstreamModel: "echo",
    target: "sim/echo",
    account: "",
    usedFallback: false,
    attempts: [{ target: "sim/echo", status: "success", error: "", ms: 12.5 }],
    cascadeStep: "",
    cacheHit: false,
    status: "success",
    httpStatus: 200,
    errorCode: "",
    latencyMs: 40.5,
    ttftMs: 10,
    timings: { total: 40.5 },
    promptTokens: 10,
    completionTokens: 20,
    totalTokens: 30,
    reasoningTokens: undefined,
    cachedTokens: 0,
    usageEstimated: false,
    costNano: 1_000n,
    pricingVersion: "v1",
    finishReason: "stop",
    toolCallsCount: 0,
    retention: content === undefined ? "none" : "full",
    createdAt: someTime,
    upstreamBodySha256: "",
    sentBodySha256: "",
    traceId: "",
    ...facts,
  };
  const empty = { requestSummary: "", responseSummary: "", requestBody: "", responseBody: "", toolsJson: "[]", findingsJson: "[]" };
  return { record, content: content === undefined ? undefined : { ...empty, ...content } };
}

export function auditEntry(facts: Partial<NewAuditEntry> = {}): NewAuditEntry {
  return {
    at: someTime,
    actor: "key-1",
    action: "keys.create",
    subjectKind: "key",
    subjectId: "k1",
    outcome: "success",
    detailsJson: "{}",
    requestId: "request-1",
    ...facts,
  };
}
