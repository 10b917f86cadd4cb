/** What a vendor's file offers to the registry, and what configuration says of one provider. */
import type { OpenAiChatQuirks } from "../codecs/openai-chat/index.ts";
import type { Clock } from "../core/clock.ts";
import type { Provider } from "../core/provider.ts";
import type { Secret } from "../core/secret.ts";
import type { Resolve } from "./egress.ts";
import { HttpClient } from "./http-client.ts";
import type { Credential } from "./http-headers.ts";
import type { HttpTimeouts } from "./http-limits.ts";
import { createHttpProvider, type HttpProviderOptions } from "./http-provider.ts";
import type { MediaFetching } from "./inline-media.ts";
import type { UpstreamTls } from "./upstream-tls.ts";

/** One provider as configured. */
export interface ProviderSettings extends UpstreamTls {
  /** The first half of `provider/model`. */
  readonly name: string;
  /** Vendor; defaults to the name. */
  readonly type?: string | undefined;
  readonly apiKey?: Secret | undefined;
  /** For vendors that sign requests with an access key: AWS. */
  readonly accessKeyId?: Secret | undefined;
  readonly secretAccessKey?: Secret | undefined;
  readonly sessionToken?: Secret | undefined;
  /** For vendors with an address in each region: `eu-central-1`. */
  readonly region?: string | undefined;
  /** Needed where the vendor has no address of its own. Naming a host here allows exactly that host, private or not. */
  readonly baseUrl?: string | undefined;
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Azure's `2024-10-21`, Anthropic's `2023-06-01`. */
  readonly apiVersion?: string | undefined;
  /** Models that it offers, whatever it lists. */
  readonly models?: readonly string[] | undefined;
  readonly timeouts?: Partial<HttpTimeouts> | undefined;
  /** Most sockets at once. */
  readonly poolSize?: number | undefined;
  /** Over what the vendor's table says, for servers that speak Chat Completions. */
  readonly quirks?: OpenAiChatQuirks | undefined;
}

export interface ProviderDependencies {
  /** Of the product; sent as `user-agent: dragoman/<version>`. */
  readonly version: string;
  readonly resolve?: Resolve | undefined;
  readonly clock?: Clock | undefined;
  /** Absent: media that clients name by URL is not fetched. */
  readonly media?: MediaFetching | undefined;
}

/** A key that signs requests and is not sent itself. */
export interface AccessKey {
  readonly id: Secret;
  readonly secret: Secret;
  readonly sessionToken: Secret | undefined;
}

/** Undefined where there is none. Throws Error where half of it is missing. */
export function readAccessKey({ accessKeyId: id, secretAccessKey: secret, sessionToken }: ProviderSettings): AccessKey | undefined {
  if (id === undefined && secret === undefined && sessionToken === undefined) return undefined;
  if (id === undefined) throw new Error("access_key_id: is required with secret_access_key and session_token");
  if (secret === undefined) throw new Error("secret_access_key: is required with access_key_id");
  return { id, secret, sessionToken };
}

/** A vendor. */
export interface ProviderKind {
  /** What `type` says. */
  readonly type: string;
  /** Absent: `base_url` must be configured. */
  readonly baseUrl?: string;
  /** The vendor's address in a region. */
  readonly regionalBaseUrl?: (region: string) => string;
  /** Environment variables that hold a region, best first. */
  readonly regionVariables?: readonly string[];
  /** Environment variables that hold an access key, for vendors that take one. */
  readonly accessKeyVariables?: { readonly id: string; readonly secret: string; readonly sessionToken: string };
  /** Environment variables that hold the key, best first. */
  readonly keyVariables: readonly string[];
  /** Environment variables that hold a base URL, best first. */
  readonly baseUrlVariables: readonly string[];
  /** Environment variables that hold an API version, best first. */
  readonly apiVersionVariables?: readonly string[];
  /** Whether it answers nobody without a key. */
  readonly needsKey: boolean;
  /** Whether its own address is on this machine. */
  readonly local?: boolean;
  /** Where the key stands. */
  readonly credential: Omit<Credential, "secret">;
  create(setup: ProviderSetup): Provider;
}

/** Settings that were checked, with the vendor's defaults filled in. */
export interface ProviderSetup {
  readonly settings: ProviderSettings;
  readonly baseUrl: URL;
  readonly credential: Credential | undefined;
  readonly allowPrivate: boolean;
  readonly dependencies: ProviderDependencies;
}

type VendorOptions = Omit<HttpProviderOptions, "name" | "client" | "baseUrl" | "credential" | "headers" | "userAgent"> & {
  /** Where it is not the configured one as it stands. */
  readonly baseUrl?: URL;
};

/** The provider of a setup: one client, and so one pool, per provider, since credentials belong to one origin. */
export function createFromSetup(setup: ProviderSetup, options: VendorOptions): Provider {
  const { settings, dependencies } = setup;
  const baseUrl = options.baseUrl ?? setup.baseUrl;
  const client = new HttpClient({
    origin: baseUrl,
    allowPrivate: setup.allowPrivate,
    timeouts: settings.timeouts,
    poolSize: settings.poolSize,
    certificateAuthority: settings.certificateAuthority,
    clientCertificate: settings.clientCertificate,
    resolve: dependencies.resolve,
    clock: dependencies.clock,
  });
  return createHttpProvider({
    ...options,
    name: settings.name,
    client,
    baseUrl,
    credential: setup.credential,
    headers: settings.headers,
    userAgent: `dragoman/${dependencies.version}`,
    media: dependencies.media,
  });
}

/** The base URL with a path where the configured one has none: SDKs of these vendors add the version themselves. */
export function withDefaultPath(baseUrl: URL, path: string): URL {
  const url = new URL(baseUrl);
  if (url.pathname.replace(/(?<!\/)\/+$/, "") === "") url.pathname = path;
  return url;
}

/** `authorization: Bearer <key>`, RFC 6750. */
export const bearer: Omit<Credential, "secret"> = { header: "authorization", scheme: "Bearer " };
