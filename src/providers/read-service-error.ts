/** What a call that the gRPC library says has failed means: the upstream's own status, or what went wrong on the way. */
import { type Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { GatewayError } from "../core/error.ts";
import { GrpcFailure } from "./grpc-failure.ts";
import { headerOf } from "./grpc-reply-header.ts";
import { noAddress } from "./grpc-resolver.ts";
import { TransportFailure, type TransportFailureKind, transportError } from "./transport-failure.ts";

export interface FailedCall {
  /** For messages. */
  readonly origin: string;
  readonly totalMs: number;
  /** The answer's initial metadata, if it came. */
  readonly headers: Metadata | undefined;
  /** Whether the answer had begun. */
  readonly begun: boolean;
  /** What went wrong when the upstream's name was last looked up. */
  readonly lookup: TransportFailure | undefined;
}

export function readServiceError({ code, details, metadata }: ServiceError, call: FailedCall): GrpcFailure | GatewayError {
  const { origin, totalMs, headers, begun, lookup } = call;
  if (code === status.DEADLINE_EXCEEDED && details.startsWith("Deadline exceeded after")) return tooLong(origin, totalMs);
  const kind = transportKind(details, lookup);
  if (kind !== undefined) return transportError(new TransportFailure(kind, details, lookup), origin);
  const [bytes] = metadata.get("grpc-status-details-bin");
  const requestId = headerOf(() => metadata)("x-request-id") ?? headerOf(() => headers)("x-request-id") ?? "";
  return new GrpcFailure({
    code,
    message: details,
    details: bytes instanceof Buffer ? bytes : undefined,
    midStream: begun,
    requestId: /^[\x21-\x7e]{1,256}$/.test(requestId) ? requestId : "",
  });
}

/** The answer took longer than it may. */
export function tooLong(origin: string, totalMs: number): GatewayError {
  return new GatewayError("timeout", `${origin} did not finish its answer within ${totalMs} ms`);
}

/** What the library's own words mean; undefined for a status of the upstream. */
function transportKind(details: string, lookup: TransportFailure | undefined): TransportFailureKind | undefined {
  if (details === noAddress) return lookup?.kind ?? "dns";
  if (details.startsWith("No connection established")) return connectKind(details);
  if (/^Received message (?:larger|that decompresses)|^Attempted to send message larger/.test(details)) return "too_large";
  if (/ECONNRESET|EPIPE|^Connection dropped|^Received RST_STREAM|^Stream closed|socket hang up/i.test(details)) return "reset";
  return /^Response message parsing error|^Error parsing|^Failed to decompress|^Received compressed message|Protocol error/i.test(details)
    ? "protocol"
    : undefined;
}

function connectKind(details: string): TransportFailureKind {
  if (/ETIMEDOUT|timed out/i.test(details)) return "connect_timeout";
  if (/certificate|altnames|\bssl|\btls|EPROTO|ALPN/i.test(details)) return "upstream_tls";
  return "connect_refused";
}
