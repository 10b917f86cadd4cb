/**
 * Messages that every call makes, as literals. `create()` walks their descriptor and adds field by field, which costs up to
 * forty times as much and leaves the larger ones as hash tables that every later access pays for. Optional fields are absent
 * until they are set.
 */
import { type Attribution, type CallOptions, Environment, Retention, ServiceTier, TrialStatus } from "../../gen/dragoman/v1/call_pb.ts";
import { CacheStatus, type GenerateRequest, type Message, type Part, type Role, type Started } from "../../gen/dragoman/v1/generate_pb.ts";
import { type Attempt, AttemptStatus, BufferedReason, type Settled, type Usage, type UsageBasis } from "../../gen/dragoman/v1/usage_pb.ts";

export function newAttribution(): Attribution {
  return {
    $typeName: "dragoman.v1.Attribution",
    endUserId: "",
    externalRequestId: "",
    plan: "",
    feature: "",
    cohort: "",
    region: "",
    locale: "",
    country: "",
    platform: "",
    trialStatus: TrialStatus.UNSPECIFIED,
    callerAgent: "",
    sessionId: "",
    environment: Environment.UNSPECIFIED,
    workspaceId: "",
    xnamespaceId: "",
    sourceService: "",
    operation: "",
  };
}

export function newCallOptions(): CallOptions {
  return {
    $typeName: "dragoman.v1.CallOptions",
    policy: "",
    strict: false,
    explain: false,
    idempotencyKey: "",
    retention: Retention.UNSPECIFIED,
    resumable: false,
    provider: "",
    bypassCache: false,
    groundingContext: [],
  };
}

export function newGenerateRequest(model: string): GenerateRequest {
  return {
    $typeName: "dragoman.v1.GenerateRequest",
    model,
    messages: [],
    tools: [],
    serviceTier: ServiceTier.UNSPECIFIED,
    metadata: {},
    extrasJson: {},
  };
}

export function newMessage(role: Role): Message {
  return { $typeName: "dragoman.v1.Message", role, parts: [], name: "", extrasJson: {} };
}

export function newPart(part: Part["part"]): Part {
  return { $typeName: "dragoman.v1.Part", part, id: "", annotations: [], extrasJson: {}, logprobs: [] };
}

export function newStarted(): Started {
  return {
    $typeName: "dragoman.v1.Started",
    generationId: "",
    requestId: "",
    requestedModel: "",
    servedModel: "",
    provider: "",
    target: "",
    attempt: 0,
    upstreamId: "",
    usedFallback: false,
    cacheStatus: CacheStatus.UNSPECIFIED,
    prefixCacheHit: false,
    cascadeStep: "",
    node: "",
    route: "",
    externalRequestId: "",
    buffered: BufferedReason.UNSPECIFIED,
    systemFingerprint: "",
    translation: [],
    replayed: false,
  };
}

export function newAttempt(): Attempt {
  return {
    $typeName: "dragoman.v1.Attempt",
    number: 0,
    provider: "",
    target: "",
    upstreamModel: "",
    status: AttemptStatus.UNSPECIFIED,
    errorReason: "",
    httpStatus: 0,
    startedAfterMs: 0,
    durationMs: 0,
    upstreamRequestId: "",
    usageId: "",
    pricingVersion: "",
  };
}

export function newSettled(): Settled {
  return {
    $typeName: "dragoman.v1.Settled",
    pricingVersion: "",
    attempts: [],
    translation: [],
    buffered: BufferedReason.UNSPECIFIED,
  };
}

export function newUsage(basis: UsageBasis): Usage {
  return {
    $typeName: "dragoman.v1.Usage",
    basis,
    cacheWrites: [],
    extrasJson: {},
    serverToolCalls: {},
    serviceTier: ServiceTier.UNSPECIFIED,
  };
}
