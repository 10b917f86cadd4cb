/** What went wrong below HTTP, and the GatewayError that says so without a query, a credential or content. */
import { errors } from "undici";
import { GatewayError } from "../core/error.ts";

export type TransportFailureKind =
  | "connect_refused"
  | "connect_timeout"
  | "dns"
  | "egress_refused"
  | "upstream_tls"
  | "tls_timeout"
  | "reset"
  | "protocol"
  | "too_large"
  | "encoding"
  | "closed";

/** The cause of a GatewayError of the HTTP client: logged, never sent. */
export class TransportFailure extends Error {
  override readonly name = "TransportFailure";
  readonly kind: TransportFailureKind;

  constructor(kind: TransportFailureKind, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.kind = kind;
  }
}

/** With these no byte of the request left: nothing can have been billed. */
const undispatchedKinds: ReadonlySet<TransportFailureKind> = new Set([
  "connect_refused",
  "connect_timeout",
  "dns",
  "egress_refused",
  "upstream_tls",
  "tls_timeout",
]);

const sentences: Record<TransportFailureKind, (origin: string) => string> = {
  connect_refused: (origin) => `cannot connect to ${origin}: the connection was refused`,
  connect_timeout: (origin) => `cannot connect to ${origin} in time`,
  dns: (origin) => `cannot find the address of ${origin}`,
  egress_refused: (origin) => `connecting to ${origin} is not allowed: its address is not one that the configuration permits`,
  upstream_tls: (origin) => `cannot make a secure connection to ${origin} (upstream_tls)`,
  tls_timeout: (origin) => `cannot make a secure connection to ${origin} in time (upstream_tls)`,
  reset: (origin) => `${origin} broke the connection off`,
  protocol: (origin) => `${origin} sent something that is not HTTP`,
  too_large: (origin) => `${origin} sent more than is allowed`,
  encoding: (origin) => `${origin} sent a compressed answer that cannot be read`,
  closed: (origin) => `the connections to ${origin} are closed`,
};

/** A GatewayError for anything that a connection threw; GatewayErrors pass. */
export function transportError(thrown: unknown, origin: string): GatewayError {
  if (thrown instanceof GatewayError) return thrown;
  // A header or path that cannot be sent was written by the gateway itself.
  if (thrown instanceof errors.InvalidArgumentError) {
    return new GatewayError("internal", `the gateway made a request that ${origin} cannot be sent`, { cause: thrown, undispatched: true });
  }
  const failure =
    thrown instanceof TransportFailure ? thrown : new TransportFailure(classifyFailure(thrown), describeCause(thrown), thrown);
  const timedOut = failure.kind === "connect_timeout" || failure.kind === "tls_timeout";
  return new GatewayError(timedOut ? "timeout" : "provider_error", sentences[failure.kind](origin), {
    cause: failure,
    ...(undispatchedKinds.has(failure.kind) ? { undispatched: true } : {}),
  });
}

/** A failure that the client itself found, with the detail for people. */
export function transportFailure(kind: TransportFailureKind, origin: string, detail?: string): GatewayError {
  const sentence = sentences[kind](origin);
  return new GatewayError("provider_error", detail === undefined ? sentence : `${sentence}: ${detail}`, {
    cause: new TransportFailure(kind, detail ?? sentence),
  });
}

const resetCodes = new Set(["ECONNRESET", "EPIPE", "ECONNABORTED", "UND_ERR_SOCKET", "ERR_STREAM_PREMATURE_CLOSE"]);
const refusedCodes = new Set(["ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH", "ENETDOWN", "EHOSTDOWN", "EADDRNOTAVAIL", "EACCES", "EPERM"]);
const dnsCodes = /^(?:ENOTFOUND|EAI_|ESERVFAIL|ENODATA|EREFUSED|ETIMEOUT|EBADNAME)/;
const tlsCodes =
  /^(?:ERR_TLS|ERR_SSL|CERT_|CRL_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH|EPROTO|ERR_OSSL)/;

function classifyFailure(thrown: unknown): TransportFailureKind {
  const code = codeOf(thrown);
  if (thrown instanceof errors.ConnectTimeoutError || code === "ETIMEDOUT") return "connect_timeout";
  if (refusedCodes.has(code)) return "connect_refused";
  if (dnsCodes.test(code)) return "dns";
  if (tlsCodes.test(code)) return "upstream_tls";
  if (code === "UND_ERR_CLOSED" || code === "UND_ERR_DESTROYED") return "closed";
  if (code.startsWith("HPE_") || code === "UND_ERR_HEADERS_OVERFLOW") return "protocol";
  // Fewer bytes than announced is a broken connection, more is a lie.
  if (code === "UND_ERR_RES_CONTENT_LENGTH_MISMATCH" || code === "UND_ERR_INFO") return "protocol";
  return resetCodes.has(code) ? "reset" : "protocol";
}

function codeOf(thrown: unknown): string {
  if (thrown instanceof AggregateError && thrown.errors.length > 0) return codeOf(thrown.errors[0]);
  const code = typeof thrown === "object" && thrown !== null ? (thrown as { code?: unknown }).code : undefined;
  return typeof code === "string" ? code : "";
}

function describeCause(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
