/** Who is calling, in its first form: keys of one file, and one key of the environment. */
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import type { Access } from "../core/access.ts";
import { GatewayError } from "../core/error.ts";
import { type Logger, silentLog } from "../core/log.ts";
import { createPrincipal, type Principal } from "../core/principal.ts";
import type { Secret } from "../core/secret.ts";
import { exitCodes } from "../core/start-error.ts";
import { digestOf, KeyFileError, principalOf, readKeyFile } from "./key-file.ts";
import { watchFile } from "./watched-file.ts";

/** The configuration's `auth` section. */
export interface AccessOptions {
  readonly enabled: boolean;
  /** Absolute path. */
  readonly api_keys_file?: string | undefined;
  /** One key with every scope. */
  readonly api_key?: Secret | undefined;
}

export interface AccessControl extends Access {
  /** Stops watching the key file. */
  close(): void;
}

const anonymous: Principal = createPrincipal({ id: "anonymous", kind: "anonymous", scopes: new Set(["*"]) });

/** Longer credentials are junk: no hash is spent on them. */
const maxCredentialLength = 4_096;

/**
 * Reads the key file now and again within a second of a change; a broken file leaves the keys as they were and is logged
 * once. Throws KeyFileError (exit code 78) where the file cannot be used at the start, or holds no key.
 */
export function createAccess({ enabled, api_keys_file, api_key }: AccessOptions, log: Logger = silentLog): AccessControl {
  if (!enabled) return { enabled, authenticate: () => anonymous, close() {} };
  const own = new Map<string, Principal>();
  if (api_key !== undefined) {
    const digest = digestOf(api_key.reveal());
    own.set(digest, principalOf(digest, ["*"]));
  }
  let keys: ReadonlyMap<string, Principal> = api_keys_file === undefined ? new Map() : readAtStart(api_keys_file, own.size === 0);
  const file = api_keys_file === undefined ? undefined : watchKeys(api_keys_file, log, (fresh) => (keys = fresh));

  return {
    enabled,
    // Only digests are compared, by look-up: how long that takes says nothing about a key.
    authenticate(credential) {
      if (credential === undefined || credential === "" || credential.length > maxCredentialLength) throw unauthenticated();
      const digest = digestOf(credential);
      const principal = own.get(digest) ?? keys.get(digest);
      if (principal === undefined) throw unauthenticated();
      return principal;
    },
    close: () => file?.close(),
  };
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

/** One message for every kind of wrong credential: what is wrong with it is the caller's to know. */
function unauthenticated(): GatewayError {
  return new GatewayError("unauthenticated", "a valid API key is needed; send it as authorization: Bearer KEY", {
    headers: { "www-authenticate": 'Bearer realm="dragoman"' },
  });
}
