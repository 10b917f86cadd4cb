/** The log record of a call that is over (surfaces.md 2.5). */
import type { DescEnum } from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";
import {
  type Attribution,
  AttributionSchema,
  Environment,
  EnvironmentSchema,
  TrialStatus,
  TrialStatusSchema,
} from "../../gen/dragoman/v1/call_pb.ts";
import { FinishReasonSchema } from "../../gen/dragoman/v1/generate_pb.ts";
import {
  type Attempt,
  AttemptStatusSchema,
  type PolicyOutcome,
  RolloutStateSchema,
  type Settled,
  type Timings,
  UsageBasis,
} from "../../gen/dragoman/v1/usage_pb.ts";
import type { Call, CallTimings } from "../core/call.ts";
import type { GatewayError } from "../core/error.ts";
import type { Principal } from "../core/principal.ts";
import { type Redactor, secretKinds } from "../core/redactor.ts";
import type { LoggedAttempt, RequestLogRecord, RequestStatus } from "../core/request-log-store.ts";
import { sumCounts } from "../core/usage.ts";
import type { EndedCall, Seen } from "./recorder.ts";

export function recordOf(ended: EndedCall, redactor: Redactor): RequestLogRecord {
  const { call, settled, error, seen, model } = ended;
  // Clients may say anything in any of them, a credential too. Who somebody is may be said: that is what they are for.
  const clean = (text: string) => (text === "" ? "" : redactor.redact(text, secretKinds).text);
  const { principal, options } = call;
  const attribution = call.attribution ?? create(AttributionSchema);
  const policy = settled?.policy ?? seen.started?.policy;
  return {
    requestId: call.requestId,
    idempotencyKey: clean(options?.idempotencyKey ?? ""),
    // A failure that is said again has no event and no reply to say so.
    replayed: seen.started?.replayed ?? seen.served?.replayed ?? error?.details.headers?.["idempotent-replayed"] === "true",
    externalRequestId: clean(externalIdOf(call, attribution)),
    tenant: principal.tenant,
    project: principal.project,
    user: principal.owner,
    endUser: clean(attribution.endUserId),
    subjectType: subjectOf(principal),
    keyId: principal.kind === "key" ? principal.id : "",
    policyKey: clean(policy?.policy || principal.app || (options?.policy ?? "")),
    ...policyFacts(policy),
    plan: clean(attribution.plan),
    planResolved: "",
    feature: clean(attribution.feature),
    cohort: clean(attribution.cohort),
    region: clean(attribution.region),
    locale: clean(attribution.locale),
    country: clean(attribution.country),
    platform: clean(attribution.platform),
    trialStatus: nameOf(TrialStatusSchema, attribution.trialStatus || TrialStatus.NONE),
    callerAgent: clean(attribution.callerAgent),
    sessionId: clean(attribution.sessionId),
    environment: nameOf(EnvironmentSchema, attribution.environment || Environment.PRODUCTION).toLowerCase(),
    workspaceId: clean(attribution.workspaceId),
    xnamespaceId: clean(attribution.xnamespaceId),
    sourceService: clean(attribution.sourceService),
    operation: clean(attribution.operation),
    surface: call.surface,
    requestKind: kindOf(call),
    stream: call.operation === "generate",
    requestedModel: clean(model),
    ...servingFacts(call.attempts, seen),
    attempts: call.attempts.map(loggedAttempt),
    status: statusOf(error),
    httpStatus: httpStatusOf(call, error),
    errorCode: error?.reason ?? "",
    latencyMs: roundMs(ended.durationMs),
    ttftMs: call.operation === "generate" || call.operation === "complete" ? optionalMs(settled?.timings?.firstContent) : undefined,
    timings: timingsOf(settled?.timings, call.timings),
    ...usageFacts(settled),
    finishReason: seen.finished === undefined ? "" : nameOf(FinishReasonSchema, seen.finished.reason).toLowerCase(),
    toolCallsCount: seen.toolCalls.length,
    retention: ended.retention,
    createdAt: ended.endedAt,
    upstreamBodySha256: call.bodies?.upstream.hex ?? "",
    sentBodySha256: call.bodies?.sent.hex ?? "",
    traceId: call.traceparent.split("-")[1] ?? "",
  };
}

/** The client's own id of the call, else what it sent to have it echoed; the gateway's own id is neither. */
function externalIdOf({ clientRequestId, requestId }: Call, { externalRequestId }: Attribution): string {
  if (externalRequestId !== "") return externalRequestId;
  return clientRequestId === requestId ? "" : clientRequestId;
}

function subjectOf({ app, kind }: Principal): RequestLogRecord["subjectType"] {
  if (app !== "") return "app";
  return kind === "oidc" ? "oidc" : "session";
}

function policyFacts(policy: PolicyOutcome | undefined) {
  return {
    policyRevision: policy?.revision,
    action: policy?.action ?? "",
    rolloutState: policy === undefined ? "" : nameOf(RolloutStateSchema, policy.rolloutState),
    decisionsJson: JSON.stringify(
      policy?.decisions.map(({ guardrail, stage, action, mode, detail, enforced }) => ({
        guardrail,
        stage,
        action,
        mode,
        detail,
        enforced,
      })) ?? [],
    ),
  };
}

/** What a wire format is called in the log, where it is not chat. */
const kindsOfDialects: Readonly<Record<string, string>> = { "openai-responses": "responses", "openai-completions": "completions" };

function kindOf({ operation, dialect }: Call): string {
  if (operation === "embed") return "embeddings";
  if (operation === "count_tokens") return "count_tokens";
  return kindsOfDialects[dialect] ?? "chat";
}

/** Who answered, or was tried last. */
function servingFacts(attempts: readonly Attempt[], { started, served }: Seen) {
  const last = attempts.at(-1);
  return {
    canonicalModel: attempts[0]?.target ?? (served === undefined ? "" : `${served.provider}/${served.model}`),
    provider: last?.provider ?? served?.provider ?? "",
    upstreamModel: last?.upstreamModel ?? served?.model ?? "",
    target: last?.target ?? "",
    account: "",
    usedFallback: started?.usedFallback ?? served?.usedFallback ?? (last !== undefined && last.target !== attempts[0]?.target),
    cascadeStep: started?.cascadeStep ?? "",
    cacheHit: started?.prefixCacheHit ?? false,
  };
}

function loggedAttempt({ target, status, errorReason, durationMs }: Attempt): LoggedAttempt {
  return { target, status: nameOf(AttemptStatusSchema, status).toLowerCase(), error: errorReason.toLowerCase(), ms: durationMs };
}

function statusOf(error: GatewayError | undefined): RequestStatus {
  switch (error?.reason) {
    case undefined:
      return "success";
    case "timeout":
      return "timeout";
    case "cancelled":
      return "cancelled";
    case "guardrail_blocked":
    case "policy_blocked":
      return "blocked";
    default:
      return "error";
  }
}

/** What the client saw: of a stream that had begun, its beginning. */
function httpStatusOf({ operation }: Call, error: GatewayError | undefined): number {
  return error === undefined || (error.committed && operation === "generate") ? 200 : error.status;
}

/** Names of the contract's Timings. */
const timingNames = {
  total: "total",
  model_resolve: "modelResolve",
  guardrail_config: "guardrailConfig",
  guardrail_input: "guardrailInput",
  provider: "provider",
  guardrail_output: "guardrailOutput",
  request_log: "requestLog",
  usage_emit: "usageEmit",
  side_effects: "sideEffects",
  gateway_overhead: "gatewayOverhead",
  first_content: "firstContent",
  queue: "queue",
} as const satisfies Record<string, keyof Timings>;

/** `steps` has those that ended after the answer was settled. */
function timingsOf(timings: Timings | undefined, steps: CallTimings = {}): Record<string, number> {
  const known: Record<string, number> = {};
  const all: Partial<Record<keyof Timings, unknown>> = { ...timings, ...steps };
  for (const [name, field] of Object.entries(timingNames)) {
    const value = all[field];
    if (typeof value === "number") known[name] = roundMs(value);
  }
  return known;
}

function usageFacts(settled: Settled | undefined) {
  const usage = settled?.usage;
  return {
    promptTokens: usage?.inputTokens,
    completionTokens: usage?.outputTokens,
    totalTokens: sumCounts(usage?.inputTokens, usage?.outputTokens),
    reasoningTokens: usage?.reasoningTokens,
    cachedTokens: usage?.cacheReadTokens,
    usageEstimated: usage?.basis === UsageBasis.ESTIMATED,
    // Of what never ran nothing is unknown: it costs nothing.
    costNano: settled === undefined ? 0n : settled.costNanoUsd,
    pricingVersion: settled?.pricingVersion ?? "",
  };
}

/** `STOP` for FinishReason.STOP; empty for what is not said. */
function nameOf(schema: DescEnum, number: number): string {
  return number === 0 ? "" : (schema.value[number]?.localName ?? "");
}

function optionalMs(value: number | undefined): number | undefined {
  return value === undefined ? undefined : roundMs(value);
}

function roundMs(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}
