/** Errors of the server itself, before any surface has the request: in the envelope of surfaces.md C13. */
import { type OutgoingHttpHeaders, STATUS_CODES } from "node:http";
import type { GatewayError } from "../core/error.ts";

/** The body: code, message, type, and beside them the kind of error. */
export function writePlainError(error: GatewayError): string {
  return JSON.stringify({ error: { code: null, message: error.message, type: typeOf(error) }, error_kind: kindOf(error) });
}

export function plainErrorHeaders(error: GatewayError): OutgoingHttpHeaders {
  return { "content-type": "application/json", "x-dragoman-error-reason": error.reason, ...error.details.headers };
}

/** A whole HTTP/1.1 answer, for a socket whose request could not be read. */
export function writeRawError(error: GatewayError): string {
  const body = writePlainError(error);
  const headers = {
    ...plainErrorHeaders(error),
    "content-length": Buffer.byteLength(body),
    date: new Date().toUTCString(),
    connection: "close",
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${String(value)}\r\n`);
  return `HTTP/1.1 ${error.status} ${STATUS_CODES[error.status] ?? "Error"}\r\n${lines.join("")}\r\n${body}`;
}

function typeOf({ status }: GatewayError): string {
  if (status === 401 || status === 403) return "auth_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}

function kindOf(error: GatewayError): string {
  if (error.status === 401 || error.status === 403) return "auth_failed";
  if (error.reason === "too_large") return "payload_too_large";
  return error.status >= 500 ? "internal_error" : "invalid_request";
}
