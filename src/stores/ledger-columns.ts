/** A ledger row as the table `ledger` holds it. */
import { fromJsonString, toJsonString } from "@bufbuild/protobuf";
import { type Usage, UsageBasis, UsageSchema } from "../../gen/dragoman/v1/usage_pb.ts";
import type { LedgerIntent, LedgerRow, LedgerState } from "../core/ledger-row.ts";
import type { Row, SqlValue } from "./database.ts";
import { readBigInt, readNumber, readOptionalBigInt, readOptionalNumber, readOptionalText, readText } from "./read-value.ts";

/** How far a row is in its life: it never goes back. */
export const stages: Readonly<Record<LedgerState, number>> = { reserved: 0, dispatched: 1, settled: 2, released: 2 };

/** What is known before dispatch and never changes. */
export function intentColumns(intent: LedgerIntent): Record<string, SqlValue> {
  return {
    tenant: intent.tenant,
    usage_id: intent.usageId,
    request_id: intent.requestId,
    attempt: intent.attempt,
    project: intent.project,
    principal: intent.principal,
    end_user: intent.endUser,
    surface: intent.surface,
    operation: intent.operation,
    requested_model: intent.requestedModel,
    route: intent.route,
    provider: intent.provider,
    target: intent.target,
    upstream_model: intent.upstreamModel,
    reserved_nano: intent.reservedNano,
    estimated_input_tokens: Math.round(intent.estimatedInputTokens),
    started_at: Math.round(intent.startedAt),
    epoch: intent.epoch,
  };
}

/** What the end of the attempt decides. */
export function outcomeColumns(row: Omit<LedgerRow, keyof Omit<LedgerIntent, "pricingVersion">>): Record<string, SqlValue> {
  const { usage } = row;
  return {
    pricing_version: row.pricingVersion,
    state: row.state,
    stage: stages[row.state],
    outcome: row.outcome,
    status: row.status,
    http_status: row.httpStatus,
    usage: usage === undefined ? null : toJsonString(UsageSchema, usage),
    basis: usage === undefined ? "" : nameOf(usage.basis),
    input_tokens: usage?.inputTokens ?? null,
    output_tokens: usage?.outputTokens ?? null,
    cache_read_tokens: usage?.cacheReadTokens ?? null,
    cache_write_tokens: usage?.cacheWriteTokens ?? null,
    reasoning_tokens: usage?.reasoningTokens ?? null,
    cost_nano: row.costNano ?? null,
    charge_nano: row.chargeNano ?? null,
    ended_at: Math.round(row.endedAt),
    duration_ms: row.durationMs,
    first_content_ms: row.firstContentMs ?? null,
    upstream_request_id: row.upstreamRequestId,
  };
}

function nameOf(basis: UsageBasis): string {
  return Object.entries(UsageBasis).find(([, value]) => value === basis)?.[0] ?? "";
}

/** An intent as a row: nothing has come of it yet. */
export function rowOfIntent(intent: LedgerIntent): LedgerRow {
  return {
    ...intent,
    state: "reserved",
    outcome: "",
    status: "success",
    httpStatus: 0,
    usage: undefined,
    costNano: undefined,
    chargeNano: undefined,
    endedAt: 0,
    durationMs: 0,
    firstContentMs: undefined,
    upstreamRequestId: "",
  };
}

export function readLedgerRow(row: Row): LedgerRow {
  const usage = readOptionalText(row, "usage");
  return {
    usageId: readText(row, "usage_id"),
    requestId: readText(row, "request_id"),
    attempt: readNumber(row, "attempt"),
    tenant: readText(row, "tenant"),
    project: readText(row, "project"),
    principal: readText(row, "principal"),
    endUser: readText(row, "end_user"),
    surface: readText(row, "surface"),
    operation: readText(row, "operation"),
    requestedModel: readText(row, "requested_model"),
    route: readText(row, "route"),
    provider: readText(row, "provider"),
    target: readText(row, "target"),
    upstreamModel: readText(row, "upstream_model"),
    reservedNano: readBigInt(row, "reserved_nano"),
    estimatedInputTokens: readNumber(row, "estimated_input_tokens"),
    pricingVersion: readText(row, "pricing_version"),
    startedAt: readNumber(row, "started_at"),
    epoch: readText(row, "epoch"),
    state: readText(row, "state") as LedgerState,
    outcome: readText(row, "outcome"),
    status: readText(row, "status") as LedgerRow["status"],
    httpStatus: readNumber(row, "http_status"),
    usage: usage === undefined ? undefined : readUsage(usage),
    costNano: readOptionalBigInt(row, "cost_nano"),
    chargeNano: readOptionalBigInt(row, "charge_nano"),
    endedAt: readNumber(row, "ended_at"),
    durationMs: readNumber(row, "duration_ms"),
    firstContentMs: readOptionalNumber(row, "first_content_ms"),
    upstreamRequestId: readText(row, "upstream_request_id"),
  };
}

/** A newer program may have written fields that this one does not know. */
function readUsage(text: string): Usage {
  return fromJsonString(UsageSchema, text, { ignoreUnknownFields: true });
}
