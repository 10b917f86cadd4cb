/**
 * Keys of the store: verified once, then remembered for a while (reliability.md 2.2). What cannot be a key costs no look-up;
 * a store that is away takes no known key out of service.
 */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/error.ts";
import type { ApiKeyRecord, KeyStore } from "../core/key-store.ts";
import { type Logger, silentLog } from "../core/log.ts";
import { createPrincipal, type Principal } from "../core/principal.ts";
import type { Stores } from "../core/stores.ts";
import { type AddressList, createAddressList } from "./address-list.ts";
import { BoundedCache } from "./bounded-cache.ts";
import { readGrants } from "./grants.ts";
import type { KeyChanges } from "./key-changes.ts";
import { isForOneCall, looksLikeOwnKey, readKey } from "./key-format.ts";
import type { Pepper, Peppers } from "./pepper.ts";
import { unauthenticated } from "./unauthenticated.ts";

export interface StoredKeysOptions {
  readonly keys: Pick<KeyStore, "findById" | "findBySha256" | "update">;
  readonly tenants: Pick<Stores["tenants"], "get">;
  readonly projects: Pick<Stores["projects"], "get">;
  /** Asked for when the first key is verified. */
  readonly peppers: () => Peppers;
  readonly changes: KeyChanges;
  readonly clock: Clock;
  readonly log?: Logger;
}

export const keyCacheLimits = {
  /** How long a verified key is not looked up again. */
  freshMs: 30_000,
  /** How long a verified key works on while the store is away. */
  staleMs: 600_000,
  /** How long a wrong one is not looked up again. */
  negativeMs: 5_000,
  entries: 10_000,
  /** How long a known key waits for a slow store. */
  patienceMs: 500,
  /** No refusal after a look-up comes sooner: how long it took would tell an unknown id from a wrong secret. */
  refusalMs: 5,
  /** After a failure the store is left alone for this long; known keys do not wait. */
  restMs: 1_000,
};

interface VerifiedKey {
  readonly record: ApiKeyRecord;
  readonly principal: Principal;
  readonly addresses: AddressList | undefined;
  readonly verifiedAt: number;
}

export class StoredKeys {
  readonly #options: StoredKeysOptions;
  readonly #verified = new BoundedCache<VerifiedKey>(keyCacheLimits.entries);
  /** Digest to when it may be looked up again. */
  readonly #refused = new BoundedCache<number>(keyCacheLimits.entries);
  readonly #running = new Map<string, Promise<VerifiedKey | undefined>>();
  /** What an unknown id is compared with: the same work as for a known one. */
  readonly #nobody = randomBytes(32).toString("hex");
  #awayUntil = Number.NEGATIVE_INFINITY;
  #peppers: Peppers | undefined;
  #saidForeign = false;

  constructor(options: StoredKeysOptions) {
    this.#options = options;
    options.changes.onChange((records) => this.forget(records.map(({ id }) => id)));
  }

  /**
   * The key behind a credential that is no key of the configuration. `digest` is its SHA-256 in hex, `address` where it comes
   * from. Throws GatewayError: unauthenticated, forbidden (from this address), store_unavailable.
   */
  authenticate(credential: string, digest: string, address: () => string): Principal | Promise<Principal> {
    const known = this.#verified.get(digest);
    const now = this.#options.clock.now();
    if (known !== undefined && (this.#isFresh(known, now) || (now < this.#awayUntil && isUsable(known, now)))) {
      return this.#admit(known, address);
    }
    const again = this.#refused.get(digest);
    if (again !== undefined && now < again) throw unauthenticated();
    if (known === undefined && !this.#canBeKey(credential, digest)) throw unauthenticated();
    return this.#verify(credential, digest, known).then((key) => this.#admitOnce(key, address));
  }

  /** Whether a SHA-256 in hex is that of a key that was made elsewhere. */
  isImported(digest: string): boolean {
    return this.#options.changes.isImported(digest);
  }

  /** Keys that changed are looked up again. */
  forget(ids: readonly string[]): void {
    const gone = new Set(ids);
    this.#verified.deleteWhere(({ record }) => gone.has(record.id));
  }

  /** All keys of a tenant, or of one of its projects, are looked up again. */
  forgetTenant(tenant: string): void {
    this.#verified.deleteWhere(({ record }) => record.tenant === tenant);
  }

  #isFresh({ verifiedAt }: VerifiedKey, now: number): boolean {
    return now - verifiedAt < keyCacheLimits.freshMs;
  }

  /** Imported keys have any shape, so their digests are kept at hand; before they are, nobody can tell. */
  #canBeKey(credential: string, digest: string): boolean {
    if (looksLikeOwnKey(credential)) return readKey(credential) !== undefined || this.#options.changes.isImported(digest);
    if (this.#options.changes.isImported(digest)) return true;
    if (!this.#options.changes.complete) throw storeAway();
    return false;
  }

  async #verify(credential: string, digest: string, known: VerifiedKey | undefined): Promise<VerifiedKey> {
    const running = this.#running.get(digest) ?? this.#lookUp(credential, digest);
    try {
      const key = await (known === undefined ? running : withPatience(running));
      if (key === undefined) throw unauthenticated();
      return key;
    } catch (error) {
      const now = this.#options.clock.now();
      if (known === undefined || !isAway(error) || !isUsable(known, now)) throw error;
      // One call has waited for a store that is slow; the others need not.
      this.#awayUntil = Math.max(this.#awayUntil, now + keyCacheLimits.restMs);
      return known;
    }
  }

  /** One look-up per key at a time. */
  #lookUp(credential: string, digest: string): Promise<VerifiedKey | undefined> {
    const running = this.#find(credential, digest).finally(() => this.#running.delete(digest));
    this.#running.set(digest, running);
    // A known key may have stopped waiting.
    running.catch(() => {});
    return running;
  }

  async #find(credential: string, digest: string): Promise<VerifiedKey | undefined> {
    const { clock } = this.#options;
    const begunAt = this.#options.changes.mark();
    const soonest = sleep(keyCacheLimits.refusalMs);
    try {
      const record = await this.#findRecord(credential, digest);
      const usable = record !== undefined && (await this.#isEnabled(record)) ? record : undefined;
      if (usable === undefined) {
        this.#verified.delete(digest);
        this.#refused.set(digest, clock.now() + keyCacheLimits.negativeMs);
        await soonest;
        return undefined;
      }
      const key = describe(usable, clock.now());
      // A change that was seen meanwhile may be newer than what was read.
      if (this.#options.changes.mark() === begunAt && !isForOneCall(usable)) this.#verified.set(digest, key);
      this.#awayUntil = Number.NEGATIVE_INFINITY;
      return key;
    } catch (error) {
      if (isAway(error)) this.#awayUntil = clock.now() + keyCacheLimits.restMs;
      throw error;
    }
  }

  async #findRecord(credential: string, digest: string): Promise<ApiKeyRecord | undefined> {
    const parts = readKey(credential);
    if (parts === undefined || this.#options.changes.isImported(digest)) return this.#options.keys.findBySha256(digest);
    const record = await this.#options.keys.findById(parts.id);
    this.#peppers ??= this.#options.peppers();
    const { current } = this.#peppers;
    const made = record === undefined || record.pepperId === "" ? current : this.#peppers.find(record.pepperId);
    if (record !== undefined && made === undefined) this.#sayForeign(record);
    // One hash for every credential, whatever stands or does not.
    const matches = (made ?? current).matches(parts.secret, record?.hashKind === "hmac" ? record.hash : this.#nobody);
    if (record === undefined || !matches) return undefined;
    if (made !== undefined && made.id !== this.#peppers.current.id) this.#hashAnew(record, parts.secret, this.#peppers.current);
    return record;
  }

  /** Whoever has the secret in hand can hash it with the current pepper. Nobody waits: what fails is done at the next look-up. */
  #hashAnew({ tenant, id, etag }: ApiKeyRecord, secret: string, current: Pepper): void {
    this.#options.keys.update(tenant, id, { hash: current.hash(secret), pepperId: current.id }, etag).catch(() => {});
  }

  async #isEnabled({ tenant, project, enabled, revokedAt }: ApiKeyRecord): Promise<boolean> {
    if (!enabled || revokedAt !== undefined) return false;
    const [organisation, part] = await Promise.all([this.#options.tenants.get(tenant), this.#options.projects.get(tenant, project)]);
    return organisation?.enabled !== false && part?.enabled !== false;
  }

  /** A key for one call ends with it: of several calls at once one gets in. */
  async #admitOnce(key: VerifiedKey, address: () => string): Promise<Principal> {
    const principal = this.#admit(key, address);
    const { record } = key;
    if (!isForOneCall(record)) return principal;
    const { keys, clock, changes, log = silentLog } = this.#options;
    try {
      changes.tell([await keys.update(record.tenant, record.id, { revokedAt: clock.wall() }, record.etag)]);
    } catch (error) {
      if (error instanceof GatewayError && error.reason === "etag_mismatch") throw unauthenticated();
      throw error;
    }
    log.warn("a key for one call was used; it is revoked now", { key_id: record.id });
    return principal;
  }

  #admit({ record, principal, addresses }: VerifiedKey, address: () => string): Principal {
    const now = this.#options.clock.wall();
    if (record.expiresAt !== undefined && record.expiresAt <= now) throw unauthenticated();
    if (addresses !== undefined && !addresses.has(address())) {
      throw new GatewayError("forbidden", `the key ${record.id} may not be used from this address`);
    }
    this.#options.changes.used(record, now);
    return principal;
  }

  /** Keys that another pepper made can never be verified here: the operator must know, once. */
  #sayForeign({ id }: ApiKeyRecord): void {
    if (this.#saidForeign) return;
    this.#saidForeign = true;
    const log = this.#options.log ?? silentLog;
    log.warn(
      "a key was made with another pepper; set auth.pepper to the same value on every replica, and older ones in auth.previous_peppers",
      { key_id: id },
    );
  }
}

function describe(record: ApiKeyRecord, verifiedAt: number): VerifiedKey {
  const addresses = record.ipAllow.length === 0 ? undefined : createAddressList(record.ipAllow);
  return { record, principal: principalOfKey(record), addresses, verifiedAt };
}

/** The principal of a key: what it says, and what its roles imply where it says nothing. */
function principalOfKey(record: ApiKeyRecord): Principal {
  const { id, tenant, project, owner, models, endpoints, app } = record;
  return createPrincipal({ id, tenant, project, owner, models, endpoints, app, ...readGrants(record) });
}

function isUsable({ verifiedAt }: VerifiedKey, now: number): boolean {
  return now - verifiedAt < keyCacheLimits.staleMs;
}

function isAway(error: unknown): boolean {
  return error instanceof GatewayError && (error.reason === "store_unavailable" || error.reason === "timeout");
}

function storeAway(): GatewayError {
  return new GatewayError("store_unavailable", "keys cannot be looked up now; repeat the call", { retryAfterMs: 1_000 });
}

/** Gives up on a slow store after a while. */
async function withPatience(running: Promise<VerifiedKey | undefined>): Promise<VerifiedKey | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(storeAway()), keyCacheLimits.patienceMs);
    timer.unref();
  });
  try {
    return await Promise.race([running, patience]);
  } finally {
    clearTimeout(timer);
  }
}
