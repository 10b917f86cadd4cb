/** A failure in OpenAI's envelope, which all its endpoints share, as the /v1 surface renders it (surfaces.md C13 and 2.7). */
import type { GatewayError, Reason } from "./error.ts";

export interface OpenAiError {
  readonly error: {
    /** Null except for the codes that OpenAI documents and client libraries act on. */
    readonly code: string | null;
    readonly message: string;
    readonly type: string;
    /** Path of the field at fault; absent where none is. */
    readonly param?: string;
  };
  readonly error_kind: string;
}

const codes: Readonly<Partial<Record<Reason, string>>> = {
  unauthenticated: "invalid_api_key",
  model_not_found: "model_not_found",
  context_exceeded: "context_length_exceeded",
  rate_limited: "rate_limit_exceeded",
  concurrency_limit_exceeded: "rate_limit_exceeded",
  quota_exhausted: "insufficient_quota",
  untranslatable: "unsupported_parameter",
};

const types: Readonly<Partial<Record<Reason, string>>> = {
  model_not_found: "model_not_found",
  rate_limited: "rate_limit",
  concurrency_limit_exceeded: "rate_limit",
  quota_exhausted: "rate_limit",
  queue_full: "server_error",
};

const kinds: Readonly<Partial<Record<Reason, string>>> = {
  model_not_found: "model_not_found",
  guardrail_blocked: "bouncer_error",
  context_exceeded: "context_exceeded",
  quota_exhausted: "quota_exhausted",
  too_large: "payload_too_large",
  timeout: "provider_timeout",
  internal: "internal_error",
};

/** The body of an error reply and the payload of an error record alike; keys of `error` in the order code, message, type, param. */
export function writeOpenAiError(error: GatewayError): OpenAiError {
  const param = faultyField(error);
  return {
    error: {
      code: errorCode(error),
      message: error.message,
      type: types[error.reason] ?? typeOfStatus(error.status),
      ...(param === undefined ? {} : { param }),
    },
    error_kind: errorKind(error),
  };
}

function errorCode({ reason, details }: GatewayError): string | null {
  // The one code of a passed-on 400 that SDKs and agents act on, by sending the call again without the field.
  if (reason === "invalid_request" && details.upstream?.code === "unsupported_parameter") return "unsupported_parameter";
  return codes[reason] ?? null;
}

function typeOfStatus(status: number): string {
  if (status === 401 || status === 403) return "auth_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}

/** The kind of an error in one word (surfaces.md 2.7, `error_kind`). */
export function errorKind(error: GatewayError): string {
  return kinds[error.reason] ?? kindOfStatus(error);
}

function kindOfStatus({ status, reason, details }: GatewayError): string {
  if (status === 401 || status === 403) return "auth_failed";
  if (status === 413) return "payload_too_large";
  if (status === 429) return "rate_limited";
  // A provider's error without the provider's words: it was the way there that failed.
  if (reason === "provider_error" && details.upstream === undefined) return "network_error";
  if (status === 502 || status === 503) return "provider_error";
  if (status === 504) return "provider_timeout";
  return status === 500 ? "internal_error" : "invalid_request";
}

function faultyField({ reason, details }: GatewayError): string | undefined {
  const [field] = details.fields ?? [];
  if (field !== undefined) return field.field;
  const param = reason === "invalid_request" ? details.upstream?.param : undefined;
  return param === "" ? undefined : param;
}
