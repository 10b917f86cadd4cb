/**
 * Where the gateway may connect to, enforced where sockets are made (reliability.md 2.5): only the origin that
 * configuration declared, only at addresses that are global, or private where exactly this host was configured. The
 * address that was judged is the one that is connected to.
 */
import { type LookupAddress, lookup as systemLookup } from "node:dns";
import { connect as connectTcp, isIP, type LookupFunction, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { buildConnector } from "undici";
import { type Clock, systemClock } from "../core/clock.ts";
import { classifyAddress } from "./address-scope.ts";
import { TransportFailure } from "./transport-failure.ts";
import { contextOptions, type UpstreamTls } from "./upstream-tls.ts";

/** Gives every address of a name, as `dns.lookup` with `all` does. */
export type Resolve = (hostname: string, done: (error: Error | null, addresses: readonly LookupAddress[]) => void) => void;

export interface EgressRule {
  /** Scheme, host and port that may be connected to. */
  readonly origin: URL;
  /** Whether loopback and private addresses are allowed: the host stands in the configuration in so many words. */
  readonly allowPrivate: boolean;
}

export interface ConnectorOptions extends EgressRule, UpstreamTls {
  /** Milliseconds for the name look-up and the TCP handshake together. */
  readonly connectTimeoutMs: number;
  /** Milliseconds for the TLS handshake. */
  readonly tlsTimeoutMs: number;
  readonly resolve?: Resolve | undefined;
  readonly clock?: Clock | undefined;
}

/** How long the last good addresses of a name are used while its resolver fails. */
const staleAddressesMs = 60_000;

const resolveBySystem: Resolve = (hostname, done) => systemLookup(hostname, { all: true, verbatim: true }, done);

/** Why an address may not be connected to; undefined where it may. */
export function refuseAddress(address: string, allowPrivate: boolean): string | undefined {
  const { reach, kind } = classifyAddress(address);
  if (reach === "global" || (reach === "private" && allowPrivate)) return undefined;
  return `${address} is ${kind}`;
}

/** A `lookup` for net.connect that gives only addresses the rule allows; an error of kind egress_refused where none is left. */
export function createLookup({
  allowPrivate,
  resolve = resolveBySystem,
  clock = systemClock,
}: Omit<ConnectorOptions, "origin" | "connectTimeoutMs" | "tlsTimeoutMs">): LookupFunction {
  let known: { readonly addresses: readonly LookupAddress[]; readonly at: number } | undefined;
  return (hostname, options, callback) => {
    resolve(hostname, (error, found) => {
      let addresses = found;
      if (error !== null) {
        if (known === undefined || clock.now() - known.at > staleAddressesMs) {
          callback(error as NodeJS.ErrnoException, "", 0);
          return;
        }
        addresses = known.addresses;
      }
      const allowed = addresses.filter(({ address }) => refuseAddress(address, allowPrivate) === undefined);
      const [first] = allowed;
      if (first === undefined) {
        const why = addresses.map(({ address }) => refuseAddress(address, allowPrivate)).join(", ");
        callback(new TransportFailure("egress_refused", `${hostname}: ${why || "no address"}`), "", 0);
        return;
      }
      if (error === null) known = { addresses: allowed, at: clock.now() };
      if (options.all === true) callback(null, [...allowed]);
      else callback(null, first.address, first.family);
    });
  };
}

/** A connector for an undici pool: HTTP/1.1, TLS 1.2 and later, one origin. Its errors are TransportFailures or system errors. */
export function createConnector(options: ConnectorOptions): buildConnector.connector {
  const { origin, allowPrivate } = options;
  const hostname = bareHost(origin.hostname);
  const port = portOf(origin);
  const lookup = createLookup(options);
  let session: Buffer | undefined;

  return (wanted, callback) => {
    const done = once(callback);
    if (bareHost(wanted.hostname) !== hostname || (Number(wanted.port) || portOf(origin)) !== port || wanted.protocol !== origin.protocol) {
      done(new TransportFailure("egress_refused", "the connection is for an origin that is not configured"), null);
      return;
    }
    // net.connect asks no lookup for an address, so it is judged here.
    const refusal = isIP(hostname) === 0 ? undefined : refuseAddress(hostname, allowPrivate);
    if (refusal !== undefined) {
      done(new TransportFailure("egress_refused", refusal), null);
      return;
    }
    const socket = connectTcp({ host: hostname, port, lookup });
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 30_000);
    const timer = setTimeout(() => socket.destroy(new TransportFailure("connect_timeout", "connect timeout")), options.connectTimeoutMs);
    socket.once("close", () => clearTimeout(timer));
    socket.on("error", (error) => done(error, null));
    socket.once("connect", () => {
      clearTimeout(timer);
      if (origin.protocol === "https:") secure(socket);
      else done(null, socket);
    });

    function secure(plain: Socket): void {
      const secured = connectTls({
        socket: plain,
        ...(isIP(hostname) === 0 ? { servername: hostname } : {}),
        ...contextOptions(options),
        ...(session === undefined ? {} : { session }),
        host: hostname,
        ALPNProtocols: ["http/1.1"],
      });
      const handshake = setTimeout(() => secured.destroy(new TransportFailure("tls_timeout", "TLS timeout")), options.tlsTimeoutMs);
      secured.on("session", (fresh) => {
        session = fresh;
      });
      secured.once("close", () => clearTimeout(handshake));
      secured.on("error", (error) =>
        done(error instanceof TransportFailure ? error : new TransportFailure("upstream_tls", error.message, error), null),
      );
      secured.once("secureConnect", () => {
        clearTimeout(handshake);
        done(null, secured);
      });
    }
  };
}

/** A host as net.connect takes it: IPv6 without brackets. */
function bareHost(hostname: string): string {
  return hostname.replace(/^\[|\]$/g, "");
}

function portOf({ port, protocol }: URL): number {
  if (port !== "") return Number(port);
  return protocol === "https:" ? 443 : 80;
}

function once(callback: buildConnector.Callback): (error: Error | null, socket: Socket | null) => void {
  let called = false;
  return (error, socket) => {
    if (called) return;
    called = true;
    if (error === null && socket !== null) callback(null, socket);
    else callback(error ?? new TransportFailure("reset", "no connection"), null);
  };
}
