/** Headers towards an upstream: an allow-list from empty, lower-case names, one value each (reliability.md 2.6). */
import { Secret } from "../core/secret.ts";

export interface Credential {
  /** Lower-case name: `authorization`, `x-api-key`. */
  readonly header: string;
  /** Before the secret, with its space: `Bearer `; empty for none. */
  readonly scheme: string;
  readonly secret: Secret;
}

/** What the connection itself decides, or what would let a peer read another message than we sent. */
const forbidden = new Set([
  "accept-encoding",
  "connection",
  "content-encoding",
  "content-length",
  "content-type",
  "cookie",
  "expect",
  "forwarded",
  "host",
  "http2-settings",
  "keep-alive",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "via",
]);
const tokenShape = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;
const valueShape = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Configured headers with lower-case names. Throws Error naming the header that cannot be sent. */
export function readConfiguredHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
  const read: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    const lower = name.toLowerCase();
    if (!tokenShape.test(lower)) throw new Error(`headers: ${JSON.stringify(name)} is not a header name`);
    if (forbidden.has(lower)) throw new Error(`headers.${name}: is the gateway's to send; leave it out`);
    if (!valueShape.test(value)) throw new Error(`headers.${name}: holds characters that no header can carry`);
    if (Object.hasOwn(read, lower)) throw new Error(`headers.${name}: stands there twice`);
    read[lower] = value;
  }
  return read;
}

/** The credential as a header. Throws Error, without the value, where it cannot be sent. */
export function credentialHeader({ header, scheme, secret }: Credential): Record<string, string> {
  const value = secret.reveal();
  if (!/^[\x21-\x7e]+$/.test(value))
    throw new Error("api_key: is empty or holds characters that no header can carry (white space, line ends)");
  return { [header]: `${scheme}${value}` };
}

/** Shorter header values are words, not credentials. */
const shortestHeaderSecret = 16;

/** Configured headers may carry credentials: their long values, also without a scheme before them. */
export function headerSecrets(headers: Readonly<Record<string, string>>): Secret[] {
  return Object.values(headers)
    .flatMap((value) => value.split(" "))
    .filter(({ length }) => length >= shortestHeaderSecret)
    .map((value) => new Secret(value));
}

/** Puts `extra` over `base`; where both have one of `joined`, the values stand in one list. */
export function mergeHeaders(
  base: Readonly<Record<string, string>>,
  extra: Readonly<Record<string, string>>,
  joined: readonly string[] = [],
): Record<string, string> {
  const merged = { ...base, ...extra };
  for (const name of joined) {
    const [left, right] = [base[name], extra[name]];
    if (left !== undefined && right !== undefined)
      merged[name] = [...new Set(`${left},${right}`.split(",").map((value) => value.trim()))].join(",");
  }
  return merged;
}
