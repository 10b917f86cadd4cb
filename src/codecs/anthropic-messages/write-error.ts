/** A failure in the API's envelope (surfaces.md 2.7). https://platform.claude.com/docs/en/api/errors */
import type { ErrorFacts } from "../../core/dialect.ts";
import type { GatewayError, Reason } from "../../core/error.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../core/json.ts";
import { objectMember, textMember } from "../../core/members.ts";
import { threadDetails } from "./threads.ts";

export interface MessagesErrorRecord {
  readonly type: "error";
  readonly error: {
    readonly type: string;
    readonly message: string;
    /** Members that a provider of this format gave: its SDKs find the kind of an error by `error_code`. */
    readonly details?: JsonObject;
  };
}

export interface MessagesError extends MessagesErrorRecord {
  readonly request_id: string;
}

/** Failures that are about the client's request, so that the provider's finer words are for the client. */
const aboutRequest: ReadonlySet<Reason> = new Set(["invalid_request", "context_exceeded", "too_large"]);

export function writeError(error: GatewayError, { requestId }: ErrorFacts): MessagesError {
  return { ...writeErrorRecord(error), request_id: requestId };
}

/** The payload of the event `error`. */
export function writeErrorRecord(error: GatewayError): MessagesErrorRecord {
  const details = readDetails(error);
  return { type: "error", error: { type: typeOf(error.status), message: error.message, ...(details === undefined ? {} : { details }) } };
}

function typeOf(status: number): string {
  if (status === 401) return "authentication_error";
  if (status === 403) return "permission_error";
  if (status === 404) return "not_found_error";
  if (status === 413) return "request_too_large";
  if (status === 429) return "rate_limit_error";
  if (status === 504) return "timeout_error";
  return status >= 500 ? "api_error" : "invalid_request_error";
}

function readDetails({ reason, details: { upstream, fields } }: GatewayError): JsonObject | undefined {
  if (upstream === undefined) return threadDetails(fields);
  if (upstream.bodyJson === "" || !aboutRequest.has(reason)) return undefined;
  const error = tryParse(upstream.bodyJson);
  const details = isJsonObject(error) ? objectMember(error, "details") : undefined;
  return details === undefined || textMember(details, "error_code") === "" ? undefined : details;
}

/** What stands in place of a secret may have broken the text. The platform's parser, as its writer takes the result. */
function tryParse(text: string): JsonValue | undefined {
  try {
    return JSON.parse(text) as JsonValue;
  } catch {
    return undefined;
  }
}
