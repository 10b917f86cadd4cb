/**
 * A provider's failure as a GatewayError: one mapping for every vendor, from status and the vendor's words to a reason
 * (contract.md 7, surfaces.md 2.7). Codecs read their vendor's envelope and call it; where a vendor's words mean
 * something else, they name the reason themselves.
 */
import { type ErrorDetails, GatewayError, type Reason, type UpstreamWords } from "./error.ts";
import { isJsonObject, type JsonObject, type JsonValue, jsonText, parseJson, upstreamJsonLimits } from "./json.ts";
import { redact } from "./redact.ts";

/** What a vendor said about its failure; empty strings and undefined alike mean: it did not say. */
export interface ErrorWords {
  readonly type?: string | undefined;
  /** Finer code. A number between 400 and 599 counts as the status where there is no other. */
  readonly code?: string | undefined;
  readonly message?: string | undefined;
  /** The vendor's name of the offending field. */
  readonly param?: string | undefined;
  /** JSON text of the error object. */
  readonly bodyJson?: string | undefined;
}

export interface UpstreamFailureFacts extends ErrorWords {
  /** Configured provider. */
  readonly provider: string;
  /** HTTP status; 0 for a failure inside a stream, 200 for one inside a body that claimed success. */
  readonly status: number;
  readonly requestId?: string | undefined;
  readonly midStream?: boolean;
  /** As readRetryAfter gives it. */
  readonly retryAfterMs?: number | undefined;
  /** Overrides the reason that status and words give. */
  readonly reason?: Reason | undefined;
  /** Overrides whether a repeat can help. */
  readonly retryable?: boolean | undefined;
}

const maxMessageLength = 2048;
const maxBodyLength = 16 << 10;

/** What vendors call the kinds of failure, as the HTTP status that means the same. Lower case. */
const statusOfWord: Readonly<Record<string, number>> = {
  invalid_request_error: 400,
  invalid_argument: 400,
  failed_precondition: 400,
  out_of_range: 400,
  bad_request: 400,
  badrequesterror: 400,
  validation_error: 400,
  authentication_error: 401,
  unauthenticated: 401,
  invalid_api_key: 401,
  api_key_invalid: 401,
  api_key_expired: 401,
  permission_error: 403,
  permission_denied: 403,
  billing_error: 402,
  insufficient_quota: 402,
  insufficient_credits: 402,
  billing_not_active: 402,
  billing_hard_limit_reached: 402,
  not_found_error: 404,
  not_found: 404,
  model_not_found: 404,
  request_too_large: 413,
  rate_limit_error: 429,
  rate_limit_exceeded: 429,
  resource_exhausted: 429,
  too_many_requests: 429,
  api_error: 500,
  server_error: 500,
  internal: 500,
  internal_error: 500,
  internal_server_error: 500,
  unavailable: 503,
  service_unavailable: 503,
  timeout_error: 504,
  deadline_exceeded: 504,
  overloaded_error: 529,
};
/** Words that say more than the status they come with: a used-up budget is a 429, a wrong key a 400 at some vendors. */
const decisiveStatuses: ReadonlySet<number> = new Set([401, 402]);

const contextCodes: ReadonlySet<string> = new Set([
  "context_length_exceeded",
  "context_window_exceeded",
  "exceed_context_size_error",
  "model_max_prompt_tokens_exceeded",
]);
/** How vendors without a code say that the input does not fit. */
const contextText =
  /maximum context length|context (?:window|length|size) (?:exceeded|of|limit)|exceeds?(?: the)?(?: model'?s?)?(?: maximum| available)? context|prompt is too long|input is too long|too many tokens|(?:input )?token count[^.]{0,40}exceeds/i;

/** The one way to make an error of a provider's refusal or failure. */
export function upstreamError(facts: UpstreamFailureFacts): GatewayError {
  const status = effectiveStatus(facts);
  const upstream = upstreamWords(facts, status);
  const { reason, message, retryable, keptStatus } = judge(facts, status, upstream);
  const details: ErrorDetails = {
    upstream,
    retryable: facts.retryable ?? retryable,
    ...(keptStatus === undefined ? {} : { status: keptStatus }),
    ...(facts.retryAfterMs === undefined ? {} : { retryAfterMs: facts.retryAfterMs }),
  };
  return new GatewayError(reason, message, details);
}

/** The HTTP status that stands for the failure; where the vendor claimed success, what its words mean, else 0. */
function effectiveStatus({ status, type, code }: UpstreamFailureFacts): number {
  const said = statusOfWord[(code ?? "").toLowerCase()] ?? statusOfWord[(type ?? "").toLowerCase()];
  if (said !== undefined && decisiveStatuses.has(said)) return said;
  if (status >= 300) return status;
  const number = /^[45]\d\d$/.test(code ?? "") ? Number(code) : undefined;
  return number ?? said ?? 0;
}

interface Judgement {
  readonly reason: Reason;
  readonly message: string;
  readonly retryable: boolean;
  readonly keptStatus?: number;
}

function judge(facts: UpstreamFailureFacts, status: number, { message: text, code, type }: UpstreamWords): Judgement {
  const who = `provider ${facts.provider}`;
  const because = text === "" ? "" : `: ${text}`;
  const { reason } = facts;
  if (reason !== undefined) return { reason, message: `${who} failed${because}`, retryable: repeatHelps(status), ...kept(reason, status) };
  if (tooMuchContext(status, code, type, text)) {
    return { reason: "context_exceeded", message: `the input does not fit the model's context at ${who}${because}`, retryable: false };
  }
  switch (status) {
    case 400:
    case 422:
      return { reason: "invalid_request", message: `${who} refused the request${because}`, retryable: false, keptStatus: status };
    case 413:
      return { reason: "too_large", message: `the request is too large for ${who}${because}`, retryable: false };
    case 401:
    case 403:
    // Cohere's word for a token that is not valid.
    case 498:
      // The vendor's text is about the gateway's credential: nothing for the caller.
      return { reason: "provider_error", message: `${who} refused the gateway's credential or permission`, retryable: false };
    case 402:
      return { reason: "quota_exhausted", message: `the budget of the gateway's account at ${who} is used up`, retryable: false };
    case 404:
      return { reason: "provider_error", message: `${who} does not know the model or path${because}`, retryable: false };
    case 429:
      return { reason: "rate_limited", message: `${who} limits the rate of requests${because}`, retryable: true };
    default:
      return { reason: "provider_error", message: `${who} ${failed(facts, status)}${because}`, retryable: repeatHelps(status) };
  }
}

function failed({ midStream = false }: UpstreamFailureFacts, status: number): string {
  if (midStream) return "failed inside the stream";
  return status === 0 ? "failed" : `failed with status ${status}`;
}

function kept(reason: Reason, status: number): { keptStatus?: number } {
  return reason === "invalid_request" && (status === 400 || status === 413 || status === 422) ? { keptStatus: status } : {};
}

/** contract.md 7; 0 is a failure without a status, inside a stream. The 52x are a proxy's words for a lost upstream. */
function repeatHelps(status: number): boolean {
  if (status >= 500) return status !== 501 && status !== 505;
  return status === 0 || status === 408 || status === 424 || status === 429;
}

function tooMuchContext(status: number, code: string, type: string, text: string): boolean {
  if (contextCodes.has(code) || contextCodes.has(type)) return true;
  return (status === 400 || status === 413 || status === 422) && contextText.test(text);
}

function upstreamWords(facts: UpstreamFailureFacts, status: number): UpstreamWords {
  const strict = status === 401 || status === 403;
  const clean = (text: string | undefined) => redact(text ?? "", { strict });
  // Half a JSON text is none. What is far too long is cut before it is searched, so that no reply costs more than its worth.
  const rawBody = facts.bodyJson ?? "";
  const bodyJson = rawBody.length > maxBodyLength ? "" : clean(rawBody);
  return {
    provider: facts.provider,
    httpStatus: facts.midStream ? 0 : facts.status,
    type: clean(cut(facts.type ?? "", 256)),
    code: clean(cut(facts.code ?? "", 256)),
    message: cut(
      clean(cut(facts.message ?? "", 2 * maxMessageLength))
        .replace(controls, " ")
        .trim(),
      maxMessageLength,
    ),
    param: clean(cut(facts.param ?? "", 256)),
    requestId: cut(facts.requestId ?? "", 256),
    midStream: facts.midStream ?? false,
    bodyJson,
  };
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: what is replaced are exactly these
const controls = /[\u0000-\u001f\u007f]+/g;

/** The first characters, never half a surrogate pair. */
function cut(text: string, length: number): string {
  if (text.length <= length) return text;
  const last = text.charCodeAt(length - 1);
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? length - 1 : length);
}

/**
 * The words in an error body of any shape that is common on HTTP: `{error: {message, type|status, code, param}}`,
 * `{error: "text"}`, `{message}`, `{detail}`, `[{error}]`, plain text. HTML pages, as proxies send them, say nothing.
 * Never throws.
 */
export function readErrorWords(body: string): ErrorWords {
  const value = tryParse(body);
  if (value === undefined) return body.trimStart().startsWith("<") ? {} : { message: body.trim() };
  return errorWords(value);
}

/** The same of a value that is parsed already. */
export function errorWords(value: JsonValue): ErrorWords {
  if (typeof value === "string") return { message: value };
  if (Array.isArray(value)) return value[0] === undefined ? {} : errorWords(value[0]);
  if (!isJsonObject(value)) return {};
  const { error } = value;
  if (typeof error === "string") {
    // FastAPI servers and Ollama: the text itself, at times with the rest beside it.
    return { ...wordsOf(value), message: error, bodyJson: jsonText(value) };
  }
  if (isJsonObject(error)) return { ...wordsOf(error), bodyJson: jsonText(error) };
  return { ...wordsOf(value), bodyJson: jsonText(value) };
}

function wordsOf(error: JsonObject): ErrorWords {
  return {
    type: word(error.type) ?? word(error.status),
    code: word(error.code),
    message: word(error.message) ?? detailText(error.detail) ?? detailText(error.errors),
    param: word(error.param),
  };
}

function word(value: JsonValue | undefined): string | undefined {
  if (typeof value === "string") return value;
  return typeof value === "number" || typeof value === "bigint" ? String(value) : undefined;
}

/** `detail` of FastAPI: text, or a list of `{loc, msg, input}`, whose input is the client's content and stays out. */
function detailText(value: JsonValue | undefined): string | undefined {
  if (typeof value === "string") return value;
  if (isJsonObject(value)) return word(value.message) ?? word(value.msg);
  if (!Array.isArray(value)) return undefined;
  const texts = value.map((entry) => {
    if (!isJsonObject(entry)) return typeof entry === "string" ? entry : "";
    const place = Array.isArray(entry.loc) ? `${entry.loc.filter((step) => typeof step !== "object").join(".")}: ` : "";
    return place + (word(entry.msg) ?? word(entry.message) ?? "");
  });
  return texts.filter((text) => text !== "").join("; ") || undefined;
}

function tryParse(text: string): JsonValue | undefined {
  try {
    return parseJson(text, upstreamJsonLimits);
  } catch {
    return undefined;
  }
}
