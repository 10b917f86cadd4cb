/** A log record as the table `request_log` holds it: JSON of everything, and columns for what is searched and added up. */
import type { LoggedRequest, RequestContent, RequestLogFilter, RequestLogRecord } from "../core/request-log-store.ts";
import type { Row, SqlValue } from "./database.ts";
import { readText } from "./read-value.ts";
import { Where } from "./where.ts";

export function recordColumns(record: RequestLogRecord): Record<string, SqlValue> {
  const text = writeRecord(record);
  return {
    tenant: record.tenant,
    request_id: record.requestId,
    created_at: Math.round(record.createdAt),
    project: record.project,
    user_id: record.user,
    end_user: record.endUser,
    key_id: record.keyId,
    policy_key: record.policyKey,
    caller_agent: record.callerAgent,
    session_id: record.sessionId,
    environment: record.environment,
    surface: record.surface,
    request_kind: record.requestKind,
    provider: record.provider,
    requested_model: record.requestedModel,
    upstream_model: record.upstreamModel,
    external_request_id: record.externalRequestId,
    error_code: record.errorCode,
    status: record.status,
    latency_ms: record.latencyMs,
    prompt_tokens: record.promptTokens ?? null,
    completion_tokens: record.completionTokens ?? null,
    cost_nano: record.costNano ?? null,
    bytes: rowOverheadBytes + Buffer.byteLength(text),
    record: text,
  };
}

/** Undefined where nothing is kept of the call's content. */
export function contentColumns({ record, content }: LoggedRequest): Record<string, SqlValue> | undefined {
  if (content === undefined) return undefined;
  const text = JSON.stringify(content);
  return {
    tenant: record.tenant,
    request_id: record.requestId,
    created_at: Math.round(record.createdAt),
    bytes: rowOverheadBytes + Buffer.byteLength(text),
    content: text,
  };
}

/** What the columns and indexes of a row take, about. */
const rowOverheadBytes = 512;

export function whereRecords(tenant: string, filter: RequestLogFilter): Where {
  return Where.ofTenant(tenant)
    .equal("project", filter.project)
    .equal("user_id", filter.user)
    .equal("end_user", filter.endUser)
    .equal("key_id", filter.keyId)
    .equal("policy_key", filter.policyKey)
    .equal("caller_agent", filter.callerAgent)
    .equal("session_id", filter.sessionId)
    .equal("environment", filter.environment)
    .equal("surface", filter.surface)
    .equal("request_kind", filter.requestKind)
    .equal("provider", filter.provider)
    .equal("external_request_id", filter.externalRequestId)
    .equal("error_code", filter.errorCode)
    .anyOf("status", filter.statuses)
    .contains(["requested_model", "upstream_model"], filter.modelSearch)
    .from("created_at", filter.from)
    .before("created_at", filter.until);
}

/** Money as decimal text: JSON's numbers lose what is beyond 53 bits. */
function writeRecord(record: RequestLogRecord): string {
  return JSON.stringify(record, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value));
}

/** What was undefined is left out of JSON, and undefined again by being absent. */
export function readRecord(row: Row): RequestLogRecord {
  const { costNano, ...record } = JSON.parse(readText(row, "record")) as Omit<RequestLogRecord, "costNano"> & {
    readonly costNano?: string;
  };
  return {
    ...record,
    // Of records from before it was noted.
    replayed: record.replayed ?? false,
    policyRevision: record.policyRevision,
    ttftMs: record.ttftMs,
    promptTokens: record.promptTokens,
    completionTokens: record.completionTokens,
    totalTokens: record.totalTokens,
    reasoningTokens: record.reasoningTokens,
    cachedTokens: record.cachedTokens,
    costNano: costNano === undefined ? undefined : BigInt(costNano),
  };
}

export function readContent(row: Row): RequestContent {
  return JSON.parse(readText(row, "content")) as RequestContent;
}
