/**
 * The public keys of an issuer (RFC 7517): fetched when they are needed and old, one fetch at a time, and kept through an
 * outage of the issuer. Tokens with made-up key ids cause at most one fetch in 30 seconds.
 */
import { type CryptoKey, importJWK, type JWK, type JWTHeaderParameters } from "jose";
import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/error.ts";
import { isJsonObject } from "../core/json.ts";
import type { Logger } from "../core/log.ts";
import { BoundedCache } from "./bounded-cache.ts";
import { unauthenticated } from "./unauthenticated.ts";

/** Gets a JSON document; rejects where there is none. Redirects are not followed, and only configured hosts may be private. */
export type FetchJson = (url: URL) => Promise<unknown>;

export interface JwksOptions {
  readonly issuer: string;
  /** Where the keys are; absent: the issuer's discovery document says. */
  readonly url?: URL | undefined;
  readonly fetchJson: FetchJson;
  readonly ttlMs: number;
  readonly clock: Clock;
  readonly log: Logger;
}

export const jwksLimits = {
  /** Between fetches that failed, and between those for unknown key ids. */
  pauseMs: 30_000,
  /** How long an unknown key id stays unknown. */
  unknownMs: 10_000,
  unknownEntries: 1_000,
  /** How long the last good keys are used while none can be fetched. */
  staleMs: 24 * 3_600_000,
  /** How long a caller waits for new keys where old ones are at hand. */
  patienceMs: 1_000,
  keys: 100,
};

interface PublicKey {
  readonly kid: string | undefined;
  readonly jwk: JWK;
}

interface KeySet {
  readonly keys: readonly PublicKey[];
  readonly fetchedAt: number;
}

export class Jwks {
  readonly #options: JwksOptions;
  readonly #unknown = new BoundedCache<number>(jwksLimits.unknownEntries);
  /** By algorithm and key, as one key may serve several algorithms. */
  #imported = new Map<string, Promise<CryptoKey>>();
  #url: URL | undefined;
  #set: KeySet | undefined;
  #fetching: Promise<KeySet> | undefined;
  #failedAt = Number.NEGATIVE_INFINITY;
  #lookedForUnknownAt = Number.NEGATIVE_INFINITY;
  #saidAway = false;
  /** Whether somebody has waited for the fetch that runs: the others need not. */
  #isSlow = false;

  constructor(options: JwksOptions) {
    this.#options = options;
  }

  /** The key that a token's header names. Throws GatewayError: unauthenticated, or store_unavailable where no keys can be had. */
  async find({ kid, alg }: Pick<JWTHeaderParameters, "kid" | "alg">): Promise<CryptoKey> {
    if (kid !== undefined && (typeof kid !== "string" || kid === "" || kid.length > 256)) throw unauthenticated();
    const { clock } = this.#options;
    const now = clock.now();
    const unknownUntil = kid === undefined ? undefined : this.#unknown.get(kid);
    if (unknownUntil !== undefined && now < unknownUntil) throw unauthenticated();
    const set = await this.#current();
    let key = choose(set, kid, alg);
    if (key === undefined && now - this.#lookedForUnknownAt >= jwksLimits.pauseMs && set.fetchedAt < now) {
      this.#lookedForUnknownAt = now;
      key = choose(await this.#fetch().catch(() => set), kid, alg);
    } else if (key === undefined && this.#fetching !== undefined) {
      key = choose(await this.#fetching.catch(() => set), kid, alg);
    }
    if (key === undefined) {
      if (kid !== undefined) this.#unknown.set(kid, clock.now() + jwksLimits.unknownMs);
      throw unauthenticated();
    }
    return this.#import(key, alg);
  }

  /** The keys, fetched anew where they are old. */
  async #current(): Promise<KeySet> {
    const { clock, ttlMs } = this.#options;
    const now = clock.now();
    const set = this.#set;
    if (set !== undefined && now - set.fetchedAt < ttlMs) return set;
    const usable = set !== undefined && now - set.fetchedAt < jwksLimits.staleMs ? set : undefined;
    if (now - this.#failedAt < jwksLimits.pauseMs) {
      if (usable === undefined) throw issuerAway();
      return usable;
    }
    const fetching = this.#fetch();
    if (usable === undefined) {
      return fetching.catch((error: unknown) => {
        throw issuerAway(error);
      });
    }
    const either = fetching.catch(() => usable);
    return this.#isSlow ? usable : this.#withPatience(either, usable);
  }

  /** New keys where they come soon, else those at hand. */
  async #withPatience(fetching: Promise<KeySet>, usable: KeySet): Promise<KeySet> {
    const patience = Promise.withResolvers<KeySet>();
    const timer = setTimeout(() => {
      this.#isSlow = this.#fetching !== undefined;
      patience.resolve(usable);
    }, jwksLimits.patienceMs);
    timer.unref();
    try {
      return await Promise.race([fetching, patience.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  #fetch(): Promise<KeySet> {
    this.#fetching ??= this.#fetchKeys().finally(() => {
      this.#fetching = undefined;
      this.#isSlow = false;
    });
    return this.#fetching;
  }

  async #fetchKeys(): Promise<KeySet> {
    const { clock, log, fetchJson } = this.#options;
    try {
      const keys = readKeys(await fetchJson(await this.#locate()));
      const set = { keys, fetchedAt: clock.now() };
      this.#set = set;
      this.#imported = new Map();
      this.#failedAt = Number.NEGATIVE_INFINITY;
      if (this.#saidAway) log.info("the issuer's keys can be fetched again");
      this.#saidAway = false;
      return set;
    } catch (error) {
      this.#failedAt = clock.now();
      // It may have moved.
      this.#url = undefined;
      if (!this.#saidAway) log.warn("the issuer's keys cannot be fetched; the last ones are used for a day", { error });
      this.#saidAway = true;
      throw error;
    }
  }

  /** OpenID Connect Discovery 1.0 section 4. */
  async #locate(): Promise<URL> {
    const { url, issuer, fetchJson } = this.#options;
    if (url !== undefined) return url;
    if (this.#url !== undefined) return this.#url;
    const document = await fetchJson(new URL(`${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`));
    if (!isJsonObject(document) || document.issuer !== issuer) throw new Error("the discovery document is of another issuer");
    const { jwks_uri: found } = document;
    if (typeof found !== "string" || !URL.canParse(found)) throw new Error("the discovery document names no jwks_uri");
    const keys = new URL(found);
    if (keys.protocol !== "https:" && keys.origin !== new URL(issuer).origin) throw new Error("jwks_uri is no https URL");
    this.#url = keys;
    return keys;
  }

  #import({ jwk, kid }: PublicKey, alg: string): Promise<CryptoKey> {
    const name = `${alg} ${kid ?? ""}`;
    const imported = this.#imported.get(name) ?? importPublic(jwk, alg);
    this.#imported.set(name, imported);
    return imported;
  }
}

async function importPublic(jwk: JWK, alg: string): Promise<CryptoKey> {
  const key = await importJWK(jwk, alg).catch(() => undefined);
  if (key === undefined || key instanceof Uint8Array || key.type !== "public") throw unauthenticated();
  return key;
}

/** Public signing keys only: a shared secret among them could be used to sign. */
function readKeys(document: unknown): PublicKey[] {
  if (!isJsonObject(document) || !Array.isArray(document.keys)) throw new Error("the key set has no keys");
  const usable = document.keys.filter(
    (jwk) =>
      isJsonObject(jwk) && ["RSA", "EC", "OKP"].includes(String(jwk.kty)) && !("d" in jwk) && (jwk.use === undefined || jwk.use === "sig"),
  ) as unknown as JWK[];
  if (usable.length === 0) throw new Error("the key set has no public signing key");
  return usable.slice(0, jwksLimits.keys).map((jwk) => ({ kid: typeof jwk.kid === "string" ? jwk.kid : undefined, jwk }));
}

/** The one key that fits; a token without a key id needs that there is only one. */
function choose({ keys }: KeySet, kid: string | undefined, alg: string): PublicKey | undefined {
  const type = typeOfAlgorithm(alg);
  const fitting = keys.filter(
    (key) => key.jwk.kty === type && (key.jwk.alg === undefined || key.jwk.alg === alg) && (kid === undefined || key.kid === kid),
  );
  return fitting.length === 1 ? fitting[0] : undefined;
}

function typeOfAlgorithm(alg: string): string {
  if (/^[RP]S/.test(alg)) return "RSA";
  return alg.startsWith("ES") ? "EC" : "OKP";
}

function issuerAway(cause?: unknown): GatewayError {
  return new GatewayError("store_unavailable", "the keys of the token's issuer cannot be had now; repeat the call", {
    retryAfterMs: 5_000,
    cause,
  });
}
