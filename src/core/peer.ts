/** What a connection says of who is at its other end, beside the credential. */
import type { IncomingHttpHeaders } from "node:http";
import { isIP, type Socket } from "node:net";
import type { NodeRequest } from "./node-handler.ts";

export interface Peer {
  /** The socket's address; IPv4 in dotted form whichever way it came; empty where the socket is gone. */
  readonly address: string;
  /** What x-forwarded-for says, unjudged: only addresses of trusted proxies make it worth anything. */
  readonly forwardedFor: string;
  /** The host that the client meant to call, with its port. */
  readonly host: string;
  /** `URI:...` and `DNS:...` of the client certificate that TLS verified; none: no certificate. */
  readonly certificateNames: readonly string[];
}

/** Nobody in particular: a caller inside this process. */
export const noPeer: Peer = { address: "", forwardedFor: "", host: "", certificateNames: [] };

/** Looks nothing up before it is asked for. */
export class RequestPeer implements Peer {
  readonly #socket: Socket;
  readonly #headers: IncomingHttpHeaders;

  constructor(request: NodeRequest) {
    this.#socket = "stream" in request ? (request.stream.session?.socket ?? request.socket) : request.socket;
    this.#headers = request.headers;
  }

  get address(): string {
    return plainAddress(this.#socket?.remoteAddress ?? "");
  }

  get forwardedFor(): string {
    const value = this.#headers["x-forwarded-for"];
    return Array.isArray(value) ? value.join(",") : (value ?? "");
  }

  get host(): string {
    const authority = this.#headers[":authority"];
    return typeof authority === "string" ? authority : (this.#headers.host ?? "");
  }

  get certificateNames(): readonly string[] {
    return readCertificateNames(this.#socket);
  }
}

/** Without a zone, and IPv4 out of its IPv6 wrapping. */
export function plainAddress(address: string): string {
  const [bare = ""] = address.split("%", 1);
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(bare)?.[1] ?? bare;
}

/** Whether a text is an address or a range, as `10.0.0.0/8` or `2001:db8::/32`. */
export function isAddressOrRange(text: string): boolean {
  const [address = "", bits, ...rest] = text.split("/");
  const family = isIP(address);
  if (family === 0 || rest.length > 0 || address.includes("%")) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
}

/** Whether an address is this machine's own. */
export function isLoopbackAddress(address: string): boolean {
  return address === "::1" || /^127\.\d+\.\d+\.\d+$/.test(address);
}

/** Suffixes that no public name has (RFC 6761, RFC 6762, and ICANN's reservation of 2024). */
const privateSuffix = /\.(?:localhost|local|internal)$/;

/**
 * Whether a Host header names this machine by a name that nobody else can own: an address, a name without a dot, or one that
 * the public name system does not have. A web page that lets its own name point here shows that name.
 */
export function isOwnName(host: string, names: readonly string[] = []): boolean {
  const name = host.replace(/:\d+$/, "").toLowerCase();
  return name.startsWith("[") || isIP(name) !== 0 || !name.includes(".") || privateSuffix.test(name) || names.includes(name);
}

interface VerifiedSocket {
  readonly authorized: boolean;
  getPeerCertificate(): { readonly subjectaltname?: string };
}

function readCertificateNames(socket: unknown): readonly string[] {
  if (!isVerified(socket)) return [];
  const { subjectaltname = "" } = socket.getPeerCertificate();
  // Node quotes names that hold separators; whoever makes such a name wants to be taken for somebody else.
  return subjectaltname.includes('"') ? [] : subjectaltname.split(", ").filter((name) => /^(?:URI|DNS):[\x21-\x7e]+$/.test(name));
}

function isVerified(socket: unknown): socket is VerifiedSocket {
  return (
    typeof socket === "object" && socket !== null && "authorized" in socket && socket.authorized === true && "getPeerCertificate" in socket
  );
}
