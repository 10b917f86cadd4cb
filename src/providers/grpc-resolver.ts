/**
 * Names of gRPC upstreams as addresses that the gateway may connect to (reliability.md 2.5): the library asks this resolver
 * instead of its own, and connects to nothing but what it gives. So the address that was judged is the one connected to.
 */
import { isIP } from "node:net";
import { type ChannelOptions, experimental, Metadata, status } from "@grpc/grpc-js";
import { createLookup, type Resolve, refuseAddress } from "./egress.ts";
import { grpcLimits } from "./grpc-limits.ts";
import { TransportFailure } from "./transport-failure.ts";

/** URI scheme of targets that this resolver serves: `dragoman:api.example.com:443`. */
const scheme = "dragoman";
/** Channel option that holds the rules of one client. */
const optionName = "dragoman.names";

/** What one client may connect to, and why its last look-up failed. */
export class UpstreamNames {
  readonly hostname: string;
  readonly port: number;
  readonly #allowPrivate: boolean;
  readonly #lookup: ReturnType<typeof createLookup>;
  /** Why the last look-up gave no address; undefined where it gave one. */
  failure: TransportFailure | undefined;

  /** `origin` is where the configuration says the upstream is; its path is not looked at. */
  constructor(origin: URL, { allowPrivate, resolve }: { readonly allowPrivate: boolean; readonly resolve?: Resolve | undefined }) {
    this.hostname = origin.hostname.replace(/^\[|\]$/g, "");
    this.port = origin.port === "" ? (origin.protocol === "https:" ? 443 : 80) : Number(origin.port);
    this.#allowPrivate = allowPrivate;
    this.#lookup = createLookup({ allowPrivate, resolve });
  }

  /** Addresses that may be connected to; empty where there are none, and `failure` says why. Never rejects. */
  async addresses(): Promise<string[]> {
    this.failure = undefined;
    if (isIP(this.hostname) !== 0) {
      const refusal = refuseAddress(this.hostname, this.#allowPrivate);
      if (refusal === undefined) return [this.hostname];
      this.failure = new TransportFailure("egress_refused", refusal);
      return [];
    }
    return new Promise((resolve) => {
      this.#lookup(this.hostname, { all: true }, (error, found) => {
        if (error !== null) this.failure = error instanceof TransportFailure ? error : new TransportFailure("dns", error.message, error);
        resolve(error === null && Array.isArray(found) ? found.map(({ address }) => address) : []);
      });
    });
  }
}

/** The target and the channel options of a client of one upstream. */
export function resolvedTarget(names: UpstreamNames): { target: string; options: ChannelOptions } {
  register();
  const host = names.hostname.includes(":") ? `[${names.hostname}]` : names.hostname;
  return { target: `${scheme}:${host}:${names.port}`, options: { [optionName]: names } };
}

class UpstreamResolver implements experimental.Resolver {
  readonly #listener: experimental.ResolverListener;
  readonly #names: UpstreamNames;
  #timer: NodeJS.Timeout | undefined;
  /** When the last look-up began, by the monotonic clock; undefined before the first. */
  #askedAt: number | undefined;
  #closed = false;

  constructor(_target: experimental.GrpcUri, listener: experimental.ResolverListener, options: ChannelOptions) {
    this.#listener = listener;
    this.#names = options[optionName];
  }

  /** The channel asks at every failure to connect, and connects at every answer: without a pause between, it would spin. */
  updateResolution(): void {
    this.#closed = false;
    if (this.#timer !== undefined) return;
    const wait = this.#askedAt === undefined ? 0 : Math.max(0, this.#askedAt + grpcLimits.resolutionMs - performance.now());
    this.#timer = setTimeout(() => void this.#resolve(), wait).unref();
  }

  destroy(): void {
    this.#closed = true;
    this.#askedAt = undefined;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  async #resolve(): Promise<void> {
    this.#askedAt = performance.now();
    const addresses = await this.#names.addresses();
    this.#timer = undefined;
    if (this.#closed) return;
    const endpoints = addresses.map((host) => ({ addresses: [{ host, port: this.#names.port }] }));
    const failure = { code: status.UNAVAILABLE, details: noAddress, metadata: new Metadata() };
    const result =
      endpoints.length > 0 ? experimental.statusOrFromValue(endpoints) : experimental.statusOrFromError<experimental.Endpoint[]>(failure);
    this.#listener(result, {}, null, "");
  }

  static getDefaultAuthority({ path }: experimental.GrpcUri): string {
    return path;
  }
}

/** Text of the status that calls get where there is no address. */
export const noAddress = "no address that may be connected to";

let registered = false;

function register(): void {
  if (registered) return;
  registered = true;
  experimental.registerResolver(scheme, UpstreamResolver);
}
