/** What a request's head must look like before anything reads it (reliability.md 2.6 and 2.8). */
import { GatewayError } from "../core/error.ts";
import type { NodeRequest } from "../core/node-handler.ts";
import type { ServerLimits } from "./limits.ts";

export interface RequestRules {
  readonly limits: Pick<ServerLimits, "headerBytes" | "headerFields" | "urlBytes">;
  /** The `x-dragoman-*` headers that clients may send, lower case. Any other is dropped. */
  readonly inboundHeaders: readonly string[];
}

/** Two of these could be read differently by two readers. */
const singleHeaders = new Set([
  "authorization",
  "x-api-key",
  "x-goog-api-key",
  "api-key",
  "x-dragoman-api-key",
  "host",
  "content-length",
  "content-type",
  "content-encoding",
  "transfer-encoding",
  "grpc-timeout",
  "grpc-encoding",
  "connect-timeout-ms",
]);

/** Names by which proxies state an identity. Nothing may ever believe them. */
const identityHeaders = [
  "remote-user",
  "x-remote-user",
  "x-forwarded-user",
  "x-forwarded-email",
  "x-forwarded-groups",
  "x-auth-request-user",
  "x-auth-request-email",
  "x-authenticated-user",
];

const subjectHeaders = new Set(["x-cgn-subject", "x-dragoman-subject"]);

/** A name, an IPv4 address or a bracketed IPv6 address, and perhaps a port. Names of containers hold underscores. */
const hostPattern = /^(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/;

/** What must not be in a header value or a path: such bytes split messages further down the line. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
const splitting = /[\x00\r\n]/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
const notInPath = /[\x00-\x20\x7f]/;

/** Checks a request's head and drops what nobody may read. Gives the refusal, or undefined where all is well. */
export function createRequestCheck({ limits, inboundHeaders }: RequestRules): (request: NodeRequest) => GatewayError | undefined {
  const inbound = new Set([...inboundHeaders, "x-dragoman-api-key"]);

  return (request) => {
    const url = request.url ?? "";
    if (url.length > limits.urlBytes) return refuse(414, `the URL is longer than ${limits.urlBytes} bytes`);
    if (notInPath.test(url) || !(url.startsWith("/") || url === "*")) return refuse(400, "the request target must be a path");
    return checkHeaders(request) ?? checkHost(request);
  };

  function checkHeaders(request: NodeRequest): GatewayError | undefined {
    const raw = request.rawHeaders;
    const seen = new Set<string>();
    let bytes = 0;
    let fields = 0;
    for (let index = 0; index < raw.length; index += 2) {
      const name = (raw[index] as string).toLowerCase();
      const value = raw[index + 1] as string;
      if (name.startsWith(":")) continue;
      fields++;
      bytes += name.length + value.length;
      if (name.includes("_")) return refuse(400, "header names must not hold underscores");
      if (splitting.test(value)) return refuse(400, "header values must not hold CR, LF or NUL");
      if (subjectHeaders.has(name)) return refuse(400, `the header ${name} is not accepted: the credential says who calls`);
      if (singleHeaders.has(name)) {
        if (seen.has(name)) return refuse(400, `the header ${name} is there more than once`);
        seen.add(name);
      }
      if (name.startsWith("x-dragoman-") && !inbound.has(name)) delete request.headers[name];
    }
    if (fields > limits.headerFields) return refuse(431, `there are more than ${limits.headerFields} header fields`);
    if (bytes > limits.headerBytes) return refuse(431, `the headers are larger than ${limits.headerBytes} bytes`);
    for (const name of identityHeaders) if (request.headers[name] !== undefined) delete request.headers[name];
    return undefined;
  }
}

function checkHost({ headers }: NodeRequest): GatewayError | undefined {
  const { host } = headers;
  const authority = headers[":authority"];
  if (typeof authority === "string" && host !== undefined && authority !== host) {
    return refuse(400, "host and :authority name different hosts");
  }
  const named = typeof authority === "string" ? authority : host;
  return named === undefined || hostPattern.test(named) ? undefined : refuse(400, "the host is malformed");
}

function refuse(status: number, message: string): GatewayError {
  return new GatewayError("invalid_request", message, { status });
}
