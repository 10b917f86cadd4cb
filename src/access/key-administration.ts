/** Making, changing and ending keys: the same for the admin service, the command line and the first start. */
import type { Clock } from "../core/clock.ts";
import { GatewayError, invalidField } from "../core/error.ts";
import type { ApiKeyChanges, ApiKeyRecord, KeyCheck, KeyStore, NewApiKey } from "../core/key-store.ts";
import { isAddressOrRange } from "../core/peer.ts";
import type { Principal } from "../core/principal.ts";
import { holdsScope } from "../core/scope.ts";
import { Secret } from "../core/secret.ts";
import type { ProjectStore } from "../core/tenant-store.ts";
import { readGrants } from "./grants.ts";
import type { KeyChanges } from "./key-changes.ts";
import { type KeyParts, makeKeyId, makeKeyParts, visiblePrefix, writeKey } from "./key-format.ts";
import { hasAdminKey, isAdminKey, keepingAdmin } from "./last-admin.ts";
import type { Pepper } from "./pepper.ts";

/** What somebody may say of a key. */
export type KeyFacts = Pick<
  NewApiKey,
  "project" | "owner" | "name" | "roles" | "scopes" | "models" | "endpoints" | "ipAllow" | "app" | "cacheSalt" | "expiresAt"
>;

export type KeyEdit = Partial<Omit<KeyFacts, "project">> & { readonly enabled?: boolean };

export interface IssuedKey {
  readonly record: ApiKeyRecord;
  /** The key itself: shown once. */
  readonly secret: Secret;
}

export interface KeyAdministrationOptions {
  readonly keys: KeyStore;
  /** Asked whether somebody else can still administer; absent: every project counts as enabled. */
  readonly projects?: Pick<ProjectStore, "get"> | undefined;
  readonly pepper: () => Pepper;
  readonly clock: Clock;
  /** Told of every change, where this process also verifies keys. */
  readonly changes?: Pick<KeyChanges, "tell"> | undefined;
}

/** A key about which nothing was said: of a member, for everything a member may do. */
export const plainKey: KeyFacts = {
  project: "default",
  owner: "",
  name: "",
  roles: [],
  scopes: [],
  models: [],
  endpoints: [],
  ipAllow: [],
  app: "",
  cacheSalt: "",
  expiresAt: undefined,
};

/** Who makes keys without being a principal: the command line, and the first start. They may give everything. */
export const installer = undefined;

export class KeyAdministration {
  readonly #options: KeyAdministrationOptions;

  constructor(options: KeyAdministrationOptions) {
    this.#options = options;
  }

  /** `id` where it must be a certain one. Throws GatewayError: invalid_request (an address that is none, a past expiry), forbidden (more than `maker` has). */
  async create(
    tenant: string,
    facts: KeyFacts,
    maker: Principal | typeof installer,
    environment = "live",
    id?: string,
  ): Promise<IssuedKey> {
    const wanted = withApp(facts);
    this.#check(wanted, maker);
    const project = await this.#options.projects?.get(tenant, wanted.project);
    if (project?.enabled === false) refuse("project", "is disabled, so a key of it would not work; enable it, or name another");
    return this.#issue(tenant, wanted, { ...makeKeyParts(environment), ...(id === undefined ? {} : { id }) }, "");
  }

  /** Throws GatewayError: not_found, etag_mismatch, invalid_request (the last admin's key would be none), and as create. */
  async update(tenant: string, id: string, said: KeyEdit, maker: Principal | typeof installer, etag?: string): Promise<ApiKeyRecord> {
    const record = await this.get(tenant, id);
    if (record.revokedAt !== undefined) throw new GatewayError("invalid_request", `the key ${id} is revoked; make another one`);
    // A key that is beyond its maker is not theirs to change either.
    refuseMore(record, maker);
    const edit = withApp(said);
    this.#check({ ...record, ...edit }, maker, "expiresAt" in edit);
    const changes: ApiKeyChanges = edit;
    return this.#tell(await this.#options.keys.update(tenant, id, changes, etag, this.#keepingAdmin(record, changes, maker)));
  }

  /** The new key, and the old one with the end of the overlap as its expiry. Throws GatewayError: not_found, and as create. */
  async rotate(
    tenant: string,
    id: string,
    { overlapMs, expiresAt }: { readonly overlapMs: number; readonly expiresAt?: number | undefined },
    maker: Principal | typeof installer,
  ): Promise<IssuedKey & { readonly replaced: ApiKeyRecord }> {
    const old = await this.get(tenant, id);
    const now = this.#options.clock.wall();
    if (old.revokedAt !== undefined) throw new GatewayError("invalid_request", `the key ${id} is revoked; make another one`);
    const facts: KeyFacts = { ...old, expiresAt: expiresAt ?? old.expiresAt };
    this.#check(facts, maker);
    const environment = /^dgm_([a-z0-9]+)_/.exec(old.prefix)?.[1] ?? "live";
    const issued = await this.#issue(tenant, facts, makeKeyParts(environment), id);
    const end = Math.min(now + overlapMs, old.expiresAt ?? Number.POSITIVE_INFINITY);
    const replaced = this.#tell(await this.#options.keys.update(tenant, id, { expiresAt: end }));
    return { ...issued, replaced };
  }

  /**
   * Revoking again changes nothing. Throws GatewayError: not_found, etag_mismatch, forbidden (a key that has more than
   * `maker`), invalid_request (the last admin's own).
   */
  async revoke(tenant: string, id: string, maker: Principal | typeof installer, etag?: string): Promise<ApiKeyRecord> {
    const record = await this.get(tenant, id);
    if (record.revokedAt !== undefined) return record;
    refuseMore(record, maker);
    const changes = { revokedAt: this.#options.clock.wall() };
    return this.#tell(await this.#options.keys.update(tenant, id, changes, etag, this.#keepingAdmin(record, changes, maker)));
  }

  /** Whether a tenant has a key that administers all of it. */
  hasAdmin(tenant: string): Promise<boolean> {
    return hasAdminKey(this.#options, tenant, this.#options.clock.wall());
  }

  /**
   * Takes over a key by the SHA-256 of it, in lower-case hex. Where it stands already, it is left as it is. Throws
   * GatewayError already_exists where another tenant has it, or the id is taken.
   */
  async import(
    tenant: string,
    hash: string,
    facts: KeyFacts & { readonly id?: string; readonly prefix?: string; readonly enabled?: boolean },
    maker: Principal | typeof installer,
  ): Promise<{ readonly record: ApiKeyRecord; readonly created: boolean }> {
    // Where keys come from, administrators are held to no lists (surfaces.md 2.2).
    const lists = facts.roles.includes("admin") ? { models: [], endpoints: [] } : {};
    const wanted = withApp({ ...facts, ...lists });
    this.#check(wanted, maker);
    const standing = await this.#options.keys.findBySha256(hash);
    if (standing !== undefined) {
      if (standing.tenant === tenant) return { record: standing, created: false };
      throw new GatewayError("already_exists", "this key cannot be imported: it stands already");
    }
    const { id = makeKeyId(), prefix = "", enabled = true, ...rest } = wanted;
    const key: NewApiKey = { ...pick(rest), id, prefix, hash, hashKind: "sha256", pepperId: "", enabled, rotatedFrom: "" };
    return { record: this.#tell(await this.#options.keys.create(tenant, key)), created: true };
  }

  /** Throws GatewayError not_found. */
  async get(tenant: string, id: string): Promise<ApiKeyRecord> {
    const record = await this.#options.keys.get(tenant, id);
    if (record === undefined) throw noSuchKey(id);
    return record;
  }

  async #issue(tenant: string, facts: KeyFacts, parts: KeyParts, rotatedFrom: string): Promise<IssuedKey> {
    const pepper = this.#options.pepper();
    const record = await this.#options.keys.create(tenant, {
      ...pick(facts),
      id: parts.id,
      hash: pepper.hash(parts.secret),
      hashKind: "hmac",
      pepperId: pepper.id,
      prefix: visiblePrefix(parts),
      enabled: true,
      rotatedFrom,
    });
    return { record: this.#tell(record), secret: new Secret(writeKey(parts)) };
  }

  #check(facts: KeyFacts, maker: Principal | typeof installer, expiryIsNew = true): void {
    const wrong = facts.ipAllow.findIndex((entry) => !isAddressOrRange(entry));
    if (wrong !== -1) refuse(`ip_allow[${wrong}]`, "is no address and no range; write it as in 192.0.2.7 or 10.0.0.0/8");
    const { expiresAt } = facts;
    if (expiryIsNew && expiresAt !== undefined && expiresAt <= this.#options.clock.wall()) refuse("expire_time", "is in the past");
    refuseMore(facts, maker);
  }

  /** Undefined where the change takes no admin away. */
  #keepingAdmin(before: ApiKeyRecord, changes: ApiKeyChanges, maker: Principal | typeof installer): KeyCheck | undefined {
    const now = this.#options.clock.wall();
    if (maker === installer || !isAdminKey(before, now) || isAdminKey({ ...before, ...changes }, now)) return undefined;
    const description = "is the last key that administers this tenant; make another one first, or rotate it";
    return keepingAdmin(maker, before.tenant, now, () => invalidField("id", description));
  }

  #tell(record: ApiKeyRecord): ApiKeyRecord {
    this.#options.changes?.tell([record]);
    return record;
  }
}

/** Nobody gives away, or takes in hand, what they do not have: a role above their own, a scope, a model, an endpoint, an app. */
function refuseMore(facts: KeyFacts, maker: Principal | typeof installer): void {
  if (maker === installer) return;
  const { roles, scopes } = readGrants(facts);
  for (const role of roles) if (!maker.roles.has("admin") && !maker.roles.has(role)) refuseGift("roles", role);
  for (const scope of scopes) if (!holdsScope(maker.scopes, scope)) refuseGift("scopes", scope);
  if (maker.models.length > 0 && !isWithin(facts.models, maker.models)) refuseGift("models", "a model");
  if (maker.endpoints.length > 0 && !isWithin(facts.endpoints, maker.endpoints)) refuseGift("endpoints", "an endpoint");
  if (maker.app !== "" && facts.app !== maker.app) refuseGift("app", "another app");
}

function isWithin(list: readonly string[], allowed: readonly string[]): boolean {
  return list.length > 0 && list.every((entry) => allowed.includes(entry));
}

export function noSuchKey(id: string): GatewayError {
  return new GatewayError("not_found", `there is no key "${id.slice(0, 64)}"`);
}

function refuseGift(field: string, what: string): never {
  throw new GatewayError("forbidden", `a key cannot be given ${what} by a caller who does not have it`, {
    fields: [{ field, description: "goes beyond what the caller has" }],
  });
}

function refuse(field: string, description: string): never {
  throw new GatewayError("invalid_request", `${field}: ${description}`, { fields: [{ field, description }] });
}

/** Apps are named as policies are (surfaces.md 2.4): trimmed, in lower case. Throws invalid_request for what is no name. */
function withApp<Facts extends { readonly app?: string }>(facts: Facts): Facts {
  if (facts.app === undefined) return facts;
  const app = facts.app.trim().toLowerCase();
  if (!/^([a-z0-9][a-z0-9_.-]{0,63})?$/.test(app)) refuse("app", "is no name; use up to 64 of a-z, 0-9, dot, underscore and hyphen");
  return { ...facts, app };
}

function pick({ project, owner, name, roles, scopes, models, endpoints, ipAllow, app, cacheSalt, expiresAt }: KeyFacts): KeyFacts {
  return { project, owner, name, roles, scopes, models, endpoints, ipAllow, app, cacheSalt, expiresAt };
}
