/** Begins a call: its ids, its deadline, its stop signal, and the facts that headers state (surfaces.md 2.3). */
import { clone } from "@bufbuild/protobuf";
import {
  type Attribution,
  AttributionSchema,
  type CallOptions,
  CallOptionsSchema,
  Environment,
  Retention,
  TrialStatus,
} from "../../gen/dragoman/v1/call_pb.ts";
import { BodyHash } from "../core/body-hash.ts";
import type { Call } from "../core/call.ts";
import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/error.ts";
import { ulid } from "../core/id.ts";
import type { CallStarter, IncomingCall } from "../core/incoming.ts";
import { newAttribution, newCallOptions } from "../core/new-message.ts";
import type { TraceContext, Tracing } from "../core/tracing.ts";

export interface CallStarterOptions {
  readonly clock: Clock;
  /** Absent: calls are not traced, and the client's trace context is passed on. */
  readonly tracing?: Tracing | undefined;
  /** Longest and default time of a call, in milliseconds. */
  readonly maxTimeoutMs: number;
}

const prefix = "x-dragoman-";
/** What the gateway keeps for itself of the time a client allows, so that its answer still arrives. */
const deadlineMarginMs = 50;
const maxValueLength = 256;
/** What W3C asks everyone to carry at least. */
const maxTracestateLength = 512;
/** The second is the one that SDKs send; https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/ */
const idempotencyHeaders = [`${prefix}idempotency-key`, "idempotency-key"];
const maxIdempotencyKeyLength = 255;

/** Headers that are free text, and the field each of them is. */
const attributionHeaders = {
  "user-id": "endUserId",
  "external-request-id": "externalRequestId",
  plan: "plan",
  feature: "feature",
  cohort: "cohort",
  region: "region",
  locale: "locale",
  country: "country",
  platform: "platform",
  agent: "callerAgent",
  "session-id": "sessionId",
  "workspace-id": "workspaceId",
  "xnamespace-id": "xnamespaceId",
  "source-service": "sourceService",
  operation: "operation",
} as const satisfies Record<string, keyof Attribution>;

/** The same, with whole names: every call looks for all of them. */
const attributionFields = Object.entries(attributionHeaders).map(([name, field]) => ({ name, header: prefix + name, field }));
/** Beside them, of the call's options. */
const optionFields = [
  { name: "policy", header: `${prefix}policy`, field: "policy" },
  { name: "provider", header: `${prefix}provider`, field: "provider" },
] as const;

const trialStatuses = {
  NONE: TrialStatus.NONE,
  TRIALING: TrialStatus.TRIALING,
  EXPIRED: TrialStatus.EXPIRED,
  CONVERTED: TrialStatus.CONVERTED,
} as const;
const environments = {
  production: Environment.PRODUCTION,
  staging: Environment.STAGING,
  development: Environment.DEVELOPMENT,
} as const;
const retentions = { none: Retention.NONE, metadata: Retention.METADATA, full: Retention.FULL } as const;

/** Every inbound header that this file reads; CORS and the header filter name the same. */
export const inboundHeaders: readonly string[] = [
  ...Object.keys(attributionHeaders),
  ...["trial-status", "env", "retention", "policy", "provider", "idempotency-key", "strict", "explain", "resumable", "timeout-ms"],
].map((name) => prefix + name);

export interface StoppableCallStarter extends CallStarter {
  /** Stops every call that runs: what a drain does when its time is over. Each gets a reason of its own. */
  stopAll(makeReason: () => GatewayError): void;
  /** Calls that run now. */
  running(): number;
}

export function createCallStarter({ clock, maxTimeoutMs, tracing }: CallStarterOptions): StoppableCallStarter {
  const running = new Set<AbortController>();
  return {
    stopAll(makeReason) {
      for (const stop of running) stop.abort(makeReason());
    },

    running: () => running.size,

    start(incoming) {
      const startedAt = clock.now();
      const requestId = ulid(clock.wall());
      const attribution = readAttribution(incoming);
      const options = readOptions(incoming);
      const { stop, deadline, end } = startTimer(incoming, options, startedAt, maxTimeoutMs);
      running.add(stop);
      const sent = incoming.header("x-request-id");
      const context = readTraceContext(incoming);
      const span = tracing?.startCall({
        requestId,
        operation: incoming.operation,
        surface: incoming.surface,
        dialect: incoming.dialect,
        path: incoming.path ?? "",
        sessionId: attribution.sessionId,
        context,
      });
      const { traceparent, tracestate } = span ?? context;
      const call: Call = {
        requestId,
        clientRequestId: sent !== undefined && /^[\x21-\x7e]{1,128}$/.test(sent) ? sent : requestId,
        operation: incoming.operation,
        surface: incoming.surface,
        dialect: incoming.dialect,
        principal: incoming.principal,
        signal: stop.signal,
        startedAt,
        deadline,
        traceparent,
        tracestate,
        span,
        attribution,
        options,
        wire: incoming.wire,
        part: incoming.part,
        bodies: incoming.sent === undefined ? undefined : { sent: incoming.sent, upstream: new BodyHash() },
        timings: {},
        attempts: [],
        translation: [],
        limits: [],
        resolved: { model: "", route: "" },
        targets: [],
        maxAttempts: 0,
        route: "",
      };
      return {
        call,
        end() {
          running.delete(stop);
          end();
          // One that never reached the pipeline ends here; for all others this is no more than a second word.
          span?.end("", call.attempts, undefined);
        },
      };
    },
  };
}

/** One signal for the client that leaves and the time that runs out; its reason is a GatewayError. */
function startTimer(incoming: IncomingCall, options: CallOptions, startedAt: number, maxTimeoutMs: number) {
  const allowed = Math.min(incoming.timeoutMs ?? maxTimeoutMs, options.timeoutMs ?? maxTimeoutMs, maxTimeoutMs);
  const budget = Math.max(1, allowed > 2 * deadlineMarginMs ? allowed - deadlineMarginMs : allowed);
  const stop = new AbortController();
  const { clientSignal } = incoming;
  const leave = (): void => stop.abort(toReason(clientSignal.reason));
  const timer = setTimeout(() => stop.abort(new GatewayError("timeout", `the call took longer than ${allowed} ms`)), budget);
  timer.unref();
  if (clientSignal.aborted) leave();
  else clientSignal.addEventListener("abort", leave, { once: true });
  const end = (): void => {
    clearTimeout(timer);
    clientSignal.removeEventListener("abort", leave);
  };
  return { stop, deadline: startedAt + budget, end };
}

function toReason(reason: unknown): GatewayError {
  return reason instanceof GatewayError ? reason : new GatewayError("cancelled", "the client went away", { cause: reason });
}

function readAttribution(incoming: IncomingCall): Attribution {
  const merged = incoming.attribution === undefined ? newAttribution() : clone(AttributionSchema, incoming.attribution);
  for (const { name, header, field } of attributionFields) {
    const value = readValue(incoming, header, maxValueLength);
    if (value === undefined) continue;
    // A body's generic user field never conflicts: it is the same fact said less exactly.
    const generic = field === "endUserId" && incoming.surface !== "rpc";
    if (!generic) refuseConflict(name, merged[field], value);
    merged[field] = value;
  }
  const trial = readWord(incoming, "trial-status", trialStatuses);
  if (trial !== undefined) merged.trialStatus = agree("trial-status", merged.trialStatus, trial);
  const environment = readWord(incoming, "env", environments);
  if (environment !== undefined) merged.environment = agree("env", merged.environment, environment);
  return merged;
}

function readOptions(incoming: IncomingCall): CallOptions {
  const merged = incoming.options === undefined ? newCallOptions() : clone(CallOptionsSchema, incoming.options);
  for (const { name, header, field } of optionFields) {
    const value = readValue(incoming, header, maxValueLength);
    if (value === undefined) continue;
    refuseConflict(name, merged[field], value);
    merged[field] = value;
  }
  for (const name of idempotencyHeaders) {
    const value = readValue(incoming, name, maxIdempotencyKeyLength);
    if (value === undefined) continue;
    refuseConflict("idempotency-key", merged.idempotencyKey, value);
    merged.idempotencyKey = value;
  }
  merged.policy = merged.policy.trim().toLowerCase();
  const retention = readWord(incoming, "retention", retentions);
  if (retention !== undefined) merged.retention = agree("retention", merged.retention, retention);
  // A flag can only be switched on: by the message, the header, or both.
  if (readFlag(incoming, "strict")) merged.strict = true;
  if (readFlag(incoming, "explain")) merged.explain = true;
  if (readFlag(incoming, "resumable")) merged.resumable = true;
  if (/(?:^|,)\s*no-cache\s*(?:,|$)/.test(incoming.header("cache-control") ?? "")) merged.bypassCache = true;
  const timeout = readText(incoming, "timeout-ms");
  if (timeout !== undefined) {
    if (!/^[1-9]\d{0,8}$/.test(timeout)) throw badHeader(`${prefix}timeout-ms`, "must be a whole number of milliseconds above 0");
    merged.timeoutMs = Math.min(Number(timeout), merged.timeoutMs ?? Number.POSITIVE_INFINITY);
  }
  return merged;
}

/** https://www.w3.org/TR/trace-context/ ; what is malformed, or an id of zeros, is not passed on, nor what came with it. */
function readTraceContext(incoming: IncomingCall): TraceContext {
  const traceparent = incoming.header("traceparent")?.trim() ?? "";
  const isValid = /^(?!ff)[\da-f]{2}-(?!0{32})[\da-f]{32}-(?!0{16})[\da-f]{16}-[\da-f]{2}$/.test(traceparent);
  if (!isValid) return { traceparent: "", tracestate: "" };
  const tracestate = incoming.header("tracestate")?.trim() ?? "";
  const isState = tracestate.length <= maxTracestateLength && /^[\x20-\x7e]*$/.test(tracestate);
  return { traceparent, tracestate: isState ? tracestate : "" };
}

/** The value of one of the gateway's own headers; empty counts as absent. */
function readText(incoming: IncomingCall, name: string): string | undefined {
  return readValue(incoming, prefix + name, maxValueLength);
}

function readValue(incoming: IncomingCall, header: string, maxLength: number): string | undefined {
  const value = incoming.header(header)?.trim();
  if (value === undefined || value === "") return undefined;
  if (value.length > maxLength) throw badHeader(header, `must not be longer than ${maxLength} characters`);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
  if (/[\x00-\x1f\x7f]/.test(value)) throw badHeader(header, "must not hold control characters");
  return value;
}

function readWord<Value>(incoming: IncomingCall, name: string, words: Record<string, Value>): Value | undefined {
  const value = readText(incoming, name);
  if (value === undefined) return undefined;
  if (!Object.hasOwn(words, value)) throw badHeader(prefix + name, `must be one of ${Object.keys(words).join(", ")}`);
  return words[value];
}

function readFlag(incoming: IncomingCall, name: string): boolean {
  return readWord(incoming, name, { true: true, false: false }) ?? false;
}

function agree<Value extends number>(name: string, said: Value, header: Value): Value {
  if (said !== 0 && said !== header) throw conflict(name);
  return header;
}

function refuseConflict(name: string, said: string, header: string): void {
  if (said !== "" && said !== header) throw conflict(name);
}

function conflict(name: string): GatewayError {
  return new GatewayError("conflicting_attribution", `the header ${prefix}${name} and the request's own field state different things`, {
    fields: [{ field: prefix + name, description: "differs from the field in the request" }],
  });
}

function badHeader(header: string, description: string): GatewayError {
  return new GatewayError("invalid_request", `the header ${header} ${description}`, { fields: [{ field: header, description }] });
}
