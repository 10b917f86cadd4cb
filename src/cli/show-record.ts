/** One call for people: what was asked, who answered, what it took; lines that say nothing are left out. */
import { timestampMs } from "@bufbuild/protobuf/wkt";
import {
  type GetRequestResponse,
  type RequestContent,
  type RequestRecord,
  RequestStatus,
} from "../../gen/dragoman/admin/v1/request_log_service_pb.ts";
import { writeCount } from "./columns.ts";
import { table } from "./terminal.ts";

/** Lines of at most 80 characters, but for names and contents that are longer. */
export function showRecord({ request, content }: GetRequestResponse): string {
  if (request === undefined) return "";
  const rows = [...factsOf(request), ...attemptsOf(request), ...timesOf(request), ...proofOf(request)].filter(([, value]) => value !== "");
  return `${headOf(request)}\n\n${table(rows.map(([name, value]) => [`  ${name}`, value]))}\n${content === undefined ? "" : showContent(content)}`;
}

type Fact = readonly [name: string, value: string];

function headOf({ requestId, createTime, status, errorCode, httpStatus }: RequestRecord): string {
  const time = createTime === undefined ? "" : new Date(timestampMs(createTime)).toISOString().replace("T", " ").replace("Z", " UTC");
  return `${requestId}  ${time}\n${status === RequestStatus.SUCCESS ? "ok" : errorCode || "failed"}, HTTP ${httpStatus}`;
}

function factsOf(record: RequestRecord): readonly Fact[] {
  const { requestKind, surface, stream, requestedModel, upstreamModel, provider, usedFallback, finishReason, toolCallsCount } = record;
  return [
    ["asked for", `${requestedModel || "-"} (${requestKind} over ${surface}${stream ? ", streamed" : ""})`],
    ["answered by", provider === "" ? "" : `${provider}/${upstreamModel}${usedFallback ? ", not the first choice" : ""}`],
    ["ended with", finishReason === "" ? "" : `${finishReason}${toolCallsCount > 0 ? `, ${toolCallsCount} tool calls` : ""}`],
    ["tokens", tokensOf(record)],
    ["cost", record.costUsd === "" ? "" : `${record.costUsd} USD`],
    ["caller", listOf({ tenant: record.tenant, project: record.project, owner: record.userId, key: record.keyId })],
    ["on behalf of", listOf({ user: record.endUserId, agent: record.callerAgent, session: record.sessionId })],
    ["names it", listOf({ id: record.externalRequestId, idempotency: record.idempotencyKey })],
    ["trace", record.traceId],
  ];
}

function tokensOf({ promptTokens, completionTokens, cachedTokens = 0, reasoningTokens = 0, usageEstimated }: RequestRecord): string {
  if (promptTokens === undefined && completionTokens === undefined) return "";
  const input = `${writeCount(promptTokens ?? 0)} in${cachedTokens > 0 ? ` (${writeCount(cachedTokens)} cached)` : ""}`;
  const output = `${writeCount(completionTokens ?? 0)} out${reasoningTokens > 0 ? ` (${writeCount(reasoningTokens)} reasoning)` : ""}`;
  return `${input}, ${output}${usageEstimated ? ", estimated" : ""}`;
}

/** `tenant acme, key k1`, without what is not known. */
function listOf(facts: Readonly<Record<string, string>>): string {
  return Object.entries(facts)
    .flatMap(([name, value]) => (value === "" ? [] : [`${name} ${value}`]))
    .join(", ");
}

function attemptsOf({ attempts }: RequestRecord): readonly Fact[] {
  return attempts.map(({ target, status, error, durationMs }, index) => [
    `attempt ${index + 1}`,
    `${target}: ${error || status}, ${writeMs(durationMs)}`,
  ]);
}

function timesOf({ latencyMs, ttftMs, timings }: RequestRecord): readonly Fact[] {
  return [
    ["took", `${writeMs(latencyMs)}${ttftMs === undefined ? "" : `, ${writeMs(ttftMs)} to the first content`}`],
    ["of this", timings?.gatewayOverhead === undefined ? "" : `the gateway ${writeMs(timings.gatewayOverhead)}`],
  ];
}

function proofOf({ upstreamBodySha256, sentBodySha256 }: RequestRecord): readonly Fact[] {
  const isSame = upstreamBodySha256 !== "" && upstreamBodySha256 === sentBodySha256;
  if (isSame) return [["sha-256", `${sentBodySha256}, as the provider sent it`]];
  return [
    ["sha-256 in", upstreamBodySha256],
    ["sha-256 out", sentBodySha256],
  ];
}

function showContent({ requestSummary, responseSummary, requestBody, responseBody, toolsJson, findingsJson }: RequestContent): string {
  const parts: readonly Fact[] = [
    ["said", requestSummary],
    ["answer", responseSummary],
    ["request", requestBody],
    ["response", responseBody],
    ["tools", toolsJson === "[]" ? "" : toolsJson],
    ["taken out", findingsJson === "[]" ? "" : findingsJson],
  ];
  return parts.flatMap(([name, text]) => (text === "" ? [] : [`\n${name}:\n${text}\n`])).join("");
}

function writeMs(ms: number): string {
  return ms < 10 ? `${Math.round(ms * 100) / 100} ms` : `${writeCount(Math.round(ms))} ms`;
}
