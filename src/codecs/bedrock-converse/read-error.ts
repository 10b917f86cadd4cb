/**
 * Failures as AWS words them: `{message}` with the type in the header `x-amzn-errortype` or in `__type`, as a reply with
 * an error status, as a reply that claims success, or as a frame that is marked as an exception.
 * https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html
 */
import type { ResponseHeaders } from "../../core/dialect.ts";
import type { GatewayError, Reason } from "../../core/error.ts";
import { isJsonObject, type JsonObject, jsonText, tryParseJson, upstreamJsonLimits } from "../../core/json.ts";
import { objectMember, textMember } from "../../core/members.ts";
import { readRetryAfter } from "../../core/retry-after.ts";
import { type ErrorWords, readErrorWords, type UpstreamFailureFacts, upstreamError } from "../../core/upstream-error.ts";

interface TypeFacts {
  /** HTTP status that stands for the type where none came with it, and instead of a 400. */
  readonly status: number;
  readonly reason?: Reason;
  readonly retryable?: boolean;
}

/** By type in lower case, without its ending. */
const types: Readonly<Record<string, TypeFacts>> = {
  validation: { status: 400 },
  serialization: { status: 400 },
  conflict: { status: 400 },
  accessdenied: { status: 403 },
  expiredtoken: { status: 403 },
  unrecognizedclient: { status: 403 },
  invalidsignature: { status: 403 },
  incompletesignature: { status: 403 },
  missingauthenticationtoken: { status: 403 },
  invalidclienttokenid: { status: 403 },
  notauthorized: { status: 403 },
  optinrequired: { status: 403 },
  resourcenotfound: { status: 404 },
  unknownoperation: { status: 404 },
  modeltimeout: { status: 408 },
  modelerror: { status: 424 },
  modelstreamerror: { status: 424 },
  throttling: { status: 429 },
  throttled: { status: 429 },
  toomanyrequests: { status: 429 },
  // It comes as a 400, and means a limit that is lifted with time.
  servicequotaexceeded: { status: 429, reason: "rate_limited", retryable: true },
  // The model is being loaded: no fault of the caller's rate.
  modelnotready: { status: 429, reason: "provider_error", retryable: true },
  internalserver: { status: 500 },
  internalfailure: { status: 500 },
  serviceunavailable: { status: 503 },
};

/** Several models have words of their own for an input that does not fit. */
const contextText = /input tokens? exceed|too many input tokens|exceeds? (?:the )?maximum (?:input|prompt|number of (?:input )?tokens)/i;
/** A limit by day comes as throttling, and repeats do not help. */
const dailyText = /tokens per day|requests per day|per-day/i;

/** A reply with an error status. Never throws. */
export function readError(status: number, body: string, headers: ResponseHeaders, provider: string): GatewayError {
  const value = tryParseJson(body, upstreamJsonLimits);
  const words = isJsonObject(value) ? wordsOf(value) : readErrorWords(body);
  const type = typeName(headers("x-amzn-errortype") ?? words.type ?? "");
  return failure({
    ...words,
    type,
    provider,
    status,
    requestId: headers("x-amzn-requestid"),
    retryAfterMs: readRetryAfter(headers),
  });
}

/** An error object where an answer was due: a body that claims success, or a frame. `type`: where it is not in the object. */
export function readErrorObject(value: JsonObject, type: string, provider: string, midStream: boolean): GatewayError {
  const words = wordsOf(value);
  return failure({ ...words, type: typeName(type || words.type || ""), provider, status: midStream ? 0 : 200, midStream });
}

/** Whether an object that should be an answer is an error. */
export function isError(value: JsonObject): boolean {
  if (typeof value.__type === "string") return true;
  const wrapped = objectMember(value, "Output");
  if (typeof wrapped?.__type === "string") return true;
  return value.output === undefined && (typeof value.message === "string" || typeof value.Message === "string");
}

function failure(facts: UpstreamFailureFacts): GatewayError {
  const known = types[(facts.type ?? "").toLowerCase().replace(/(?:exception|error)$/, "")] ?? types[wordStem(facts.type ?? "")];
  const text = facts.message ?? "";
  const status = known !== undefined && facts.status === 400 && known.status !== 400 ? known.status : facts.status;
  const effective = status >= 300 ? status : (known?.status ?? 0);
  const isInput = effective === 400 || effective === 413;
  return upstreamError({
    ...facts,
    status,
    // Where no status came with the type, the one that it stands for.
    ...(status < 300 && known !== undefined ? { code: String(known.status) } : {}),
    ...judge(known, isInput, effective, text),
  });
}

function judge(
  known: TypeFacts | undefined,
  isInput: boolean,
  status: number,
  text: string,
): Pick<UpstreamFailureFacts, "reason" | "retryable"> {
  if (isInput && contextText.test(text)) return { reason: "context_exceeded", retryable: false };
  if (status === 429 && dailyText.test(text)) return { reason: "quota_exhausted", retryable: false };
  return known?.reason === undefined ? {} : { reason: known.reason, retryable: known.retryable };
}

function wordStem(type: string): string {
  return type.toLowerCase().replace(/exception$/, "");
}

function wordsOf(value: JsonObject): ErrorWords {
  const inner = objectMember(value, "Output") ?? value;
  return {
    type: textMember(inner, "__type") || textMember(value, "code"),
    message: textMember(value, "message") || textMember(value, "Message") || textMember(value, "errorMessage"),
    bodyJson: jsonText(value),
  };
}

/** `ValidationException` of `ValidationException:http://internal.amazon.com/...` and of `com.amazon.coral.validate#ValidationException`. */
function typeName(type: string): string {
  return type.split(":", 1)[0]?.split("#").at(-1)?.trim() ?? "";
}
