/**
 * Failures as Google words them: `{error: {code, message, status, details[]}}` (https://cloud.google.com/apis/design/errors),
 * as a reply with an error status, at times an array of one, or as a record inside a stream.
 */
import type { ResponseHeaders } from "../../core/dialect.ts";
import type { GatewayError } from "../../core/error.ts";
import { isJsonObject, type JsonObject, type JsonValue, tryParseJson, upstreamJsonLimits } from "../../core/json.ts";
import { objectMember, objectsMember, textMember } from "../../core/members.ts";
import { clampRetryAfter, readRetryAfter } from "../../core/retry-after.ts";
import { errorWords, readErrorWords, type UpstreamFailureFacts, upstreamError } from "../../core/upstream-error.ts";

/** A reply with an error status. Never throws. */
export function readError(status: number, body: string, headers: ResponseHeaders, provider: string): GatewayError {
  const value = tryParseJson(body, upstreamJsonLimits);
  const facts = value === undefined ? readErrorWords(body) : factsOf(value);
  return upstreamError({ retryAfterMs: readRetryAfter(headers), ...facts, provider, status });
}

/** An error object where an answer was due. */
export function readErrorRecord(record: JsonValue, provider: string, midStream: boolean): GatewayError {
  return upstreamError({ ...factsOf(record), provider, status: midStream ? 0 : 200, midStream });
}

/** Whether a record is an error in place of an answer. */
export function isErrorRecord(record: JsonValue): boolean {
  if (Array.isArray(record)) return record.length === 1 && isErrorRecord(record[0] ?? null);
  return isJsonObject(record) && isJsonObject(record.error);
}

function factsOf(value: JsonValue): Omit<UpstreamFailureFacts, "provider" | "status"> {
  const words = errorWords(value);
  const error = errorObject(value);
  const details = error === undefined ? [] : objectsMember(error, "details");
  const code = detailReason(details) ?? keyReason(words.message);
  const quota = quotaIsUsedUp(details);
  const wait = retryDelay(details);
  const param = offendingField(details) ?? words.param;
  return {
    ...words,
    // The number in `code` is the HTTP status again; the finer code is the reason in the details.
    code: code ?? (words.type === undefined ? words.code : undefined),
    param,
    ...(quota ? { reason: "quota_exhausted" as const, retryable: false, retryAfterMs: undefined } : {}),
    ...(wait === undefined || quota ? {} : { retryAfterMs: wait }),
  };
}

function errorObject(value: JsonValue): JsonObject | undefined {
  const record = Array.isArray(value) ? value[0] : value;
  return isJsonObject(record) ? (objectMember(record, "error") ?? record) : undefined;
}

function ofType(details: JsonObject[], type: string): JsonObject | undefined {
  return details.find((detail) => textMember(detail, "@type").endsWith(`google.rpc.${type}`));
}

function detailReason(details: JsonObject[]): string | undefined {
  return textMember(ofType(details, "ErrorInfo") ?? {}, "reason") || undefined;
}

/** A wrong key is a 400 with status INVALID_ARGUMENT; some replies lack the detail that says so. */
function keyReason(message: string | undefined): string | undefined {
  return /^API key (?:not valid|expired|not found)/i.test(message ?? "") ? "API_KEY_INVALID" : undefined;
}

/** A quota of a day does not come back within any time that a client would wait. */
function quotaIsUsedUp(details: JsonObject[]): boolean {
  const violations = objectsMember(ofType(details, "QuotaFailure") ?? {}, "violations");
  return violations.some((violation) => /PerDay/i.test(textMember(violation, "quotaId")));
}

/** `retryDelay` is a protobuf duration: seconds with a fraction, then `s`. */
function retryDelay(details: JsonObject[]): number | undefined {
  const seconds = /^(\d{1,12}(?:\.\d{1,9})?)s$/.exec(textMember(ofType(details, "RetryInfo") ?? {}, "retryDelay"))?.[1];
  return seconds === undefined ? undefined : clampRetryAfter(Number(seconds) * 1000);
}

function offendingField(details: JsonObject[]): string | undefined {
  const [violation] = objectsMember(ofType(details, "BadRequest") ?? {}, "fieldViolations");
  return violation === undefined ? undefined : textMember(violation, "field") || undefined;
}
