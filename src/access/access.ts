/**
 * Who is calling: keys of the configuration, of a file and of the store, OIDC tokens, client certificates. The same for RPC,
 * every HTTP surface and relay.
 */
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { type Access, minApiKeyLength } from "../core/access.ts";
import { GatewayError } from "../core/error.ts";
import { type Logger, silentLog } from "../core/log.ts";
import { isLoopbackAddress, isOwnName, type Peer } from "../core/peer.ts";
import { createPrincipal, type Principal } from "../core/principal.ts";
import type { Secret } from "../core/secret.ts";
import { exitCodes } from "../core/start-error.ts";
import { clientAddress, createAddressList } from "./address-list.ts";
import type { FindByCertificate } from "./certificates.ts";
import { KeyFileError, principalOf, readKeyFile, sha256OfKey } from "./key-file.ts";
import type { OpenTenants } from "./open-tenants.ts";
import type { StoredKeys } from "./stored-keys.ts";
import { looksLikeToken, type Tokens } from "./tokens.ts";
import { unauthenticated } from "./unauthenticated.ts";
import { watchFile } from "./watched-file.ts";

export interface AccessOptions {
  readonly enabled: boolean;
  /** Absolute path. */
  readonly api_keys_file?: string | undefined;
  /** One key with every scope. */
  readonly api_key?: Secret | undefined;
  /** Addresses and ranges of proxies whose x-forwarded-for counts. */
  readonly trustedProxies?: readonly string[] | undefined;
  /** Names of this machine, lower case, beside addresses and those that only it can have: asked for where nobody needs a key. */
  readonly hostNames?: readonly string[] | undefined;
  readonly stored?: Pick<StoredKeys, "authenticate" | "isImported"> | undefined;
  readonly tokens?: Pick<Tokens, "authenticate"> | undefined;
  readonly findByCertificate?: FindByCertificate | undefined;
  /** Asked about the tenants of tokens and certificates. */
  readonly openTenants?: Pick<OpenTenants, "admit"> | undefined;
}

export interface AccessControl extends Access {
  /** Stops watching the key file. */
  close(): void;
}

const anonymous: Principal = createPrincipal({
  id: "anonymous",
  kind: "anonymous",
  scopes: new Set(["*"]),
  // Auth is off on loopback only: whoever is there could change the configuration too.
  roles: new Set(["admin"]),
});

/** Whoever is on this machine may call, but not a web page in its browser whose name was made to point here. */
function admitNeighbour({ address, host }: Peer, hostNames: readonly string[]): Principal {
  if (!isLoopbackAddress(address) || isOwnName(host, hostNames)) return anonymous;
  throw new GatewayError(
    "unauthenticated",
    "auth is off, so only this machine is served, by localhost, an address or a name in server.host_names",
    {
      headers: { "www-authenticate": 'Bearer realm="dragoman"' },
    },
  );
}

/** Longer credentials are junk: no hash is spent on them. */
const maxCredentialLength = 16_384;

/**
 * Reads the key file now and again within a second of a change; a broken file leaves the keys as they were and is logged
 * once. Throws KeyFileError (exit code 78) where the file cannot be used at the start, or holds no key and nothing else could
 * let anybody in.
 */
export function createAccess(options: AccessOptions, log: Logger = silentLog): AccessControl {
  const { enabled, api_keys_file, api_key, trustedProxies = [], hostNames = [], stored, tokens, findByCertificate, openTenants } = options;
  if (!enabled) return { enabled, authenticate: (_, peer) => admitNeighbour(peer, hostNames), close() {} };
  const own = new Map<string, Principal>();
  if (api_key !== undefined) {
    const digest = sha256OfKey(api_key.reveal());
    own.set(digest, principalOf(digest, ["*"]));
  }
  const alone = own.size === 0 && stored === undefined && tokens === undefined && findByCertificate === undefined;
  let keys: ReadonlyMap<string, Principal> = api_keys_file === undefined ? new Map() : readAtStart(api_keys_file, alone);
  const file = api_keys_file === undefined ? undefined : watchKeys(api_keys_file, log, (fresh) => (keys = fresh));
  const proxies = trustedProxies.length === 0 ? undefined : createAddressList(trustedProxies);

  return {
    enabled,
    authenticate(credential, peer) {
      if (credential === undefined || credential === "") {
        const found = findByCertificate?.(peer.certificateNames);
        if (found === undefined) throw unauthenticated();
        return openTenants?.admit(found) ?? found;
      }
      if (credential.length > maxCredentialLength) throw unauthenticated();
      // Only digests are compared, by look-up: how long that takes says nothing about a key.
      const digest = sha256OfKey(credential);
      const principal = own.get(digest) ?? keys.get(digest);
      if (principal !== undefined) return principal;
      // A key that was imported may look like a token.
      if (tokens !== undefined && looksLikeToken(credential) && stored?.isImported(digest) !== true) {
        const named = tokens.authenticate(credential);
        if (openTenants === undefined) return named;
        return named instanceof Promise ? named.then((bearer) => openTenants.admit(bearer)) : openTenants.admit(named);
      }
      if (stored === undefined || !mayBeKey(credential)) throw unauthenticated();
      return stored.authenticate(credential, digest, () => clientAddress(peer, proxies));
    },
    close: () => file?.close(),
  };
}

/** Keys are visible ASCII of some length, whoever made them. */
function mayBeKey(credential: string): boolean {
  return credential.length >= minApiKeyLength && credential.length <= 4_096 && /^[\x21-\x7e]+$/.test(credential);
}

function readAtStart(path: string, needed: boolean): Map<string, Principal> {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown error";
    throw new KeyFileError(
      `auth.api_keys_file: ${path} cannot be read (${code}); check the path and its permissions`,
      exitCodes.config,
      error,
    );
  }
  const keys = readKeyFile(text, path);
  if (keys.size === 0 && needed) throw new KeyFileError(`auth.api_keys_file: ${path} holds no key, so nobody could call; add one per line`);
  return keys;
}

function watchKeys(path: string, log: Logger, use: (keys: Map<string, Principal>) => unknown): { close(): void } {
  let broken = false;
  let first = true;
  return watchFile({
    path,
    changed(text) {
      // An empty file is one that is being written: revoking every key takes a comment line.
      if (text.trim() === "") throw new KeyFileError(`${path}: the file is empty; leave a comment line in it to revoke every key`);
      const keys = readKeyFile(text, path);
      use(keys);
      if (!first || broken) log.info("api keys read again", { file: basename(path), count: keys.size });
      first = false;
      broken = false;
    },
    failed(error) {
      first = false;
      if (!broken) log.error("api keys cannot be read again, the old ones stay", { file: basename(path), error });
      broken = true;
    },
  });
}
