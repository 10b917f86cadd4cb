/** A failure in Google's envelope (surfaces.md 2.7): `{error: {code, message, status, details}}`. https://cloud.google.com/apis/design/errors */
import type { ErrorFacts } from "../../core/dialect.ts";
import { type GatewayError, grpcCodes } from "../../core/error.ts";

export interface GoogleError {
  readonly error: {
    /** HTTP status. */
    readonly code: number;
    readonly message: string;
    /** Name of the gRPC status. */
    readonly status: string;
    /** Messages of google.rpc, by `@type`. */
    readonly details: readonly Readonly<Record<string, unknown>>[];
  };
}

const domain = "dragoman";

/** The body of an error reply, and a stream's error record. */
export function writeError(error: GatewayError, facts?: ErrorFacts): GoogleError {
  const { fields = [], retryAfterMs, upstream } = error.details;
  const metadata = upstream === undefined ? {} : { metadata: { provider: upstream.provider } };
  const details = [detail("ErrorInfo", { reason: error.reason.toUpperCase(), domain, ...metadata })];
  if (facts !== undefined) details.push(detail("RequestInfo", { requestId: facts.requestId }));
  if (fields.length > 0) {
    details.push(detail("BadRequest", { fieldViolations: fields.map(({ field, description }) => ({ field, description })) }));
  }
  // A protobuf duration.
  if (retryAfterMs !== undefined) details.push(detail("RetryInfo", { retryDelay: `${Math.ceil(retryAfterMs) / 1000}s` }));
  return { error: { code: error.status, message: error.message, status: statusName(error.code), details } };
}

function detail(type: string, members: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return { "@type": `type.googleapis.com/google.rpc.${type}`, ...members };
}

/** `invalidArgument` as `INVALID_ARGUMENT`. */
function statusName(code: number): string {
  const name = Object.entries(grpcCodes).find(([, value]) => value === code)?.[0] ?? "unknown";
  return name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}
