/** API keys: never the secret, only a hash of it (reliability.md 2.2, surfaces.md 2.2). */
import type { Page, PageRequest } from "./page.ts";
import type { Role } from "./principal.ts";
import type { Scope } from "./scope.ts";

export interface ApiKeyRecord {
  /** Unique over all tenants: a key is found before its tenant is known. */
  readonly id: string;
  readonly tenant: string;
  readonly project: string;
  /** The person or service that it belongs to. */
  readonly owner: string;
  readonly name: string;
  /** Lower-case hex: HMAC-SHA-256 of the secret with the pepper, or SHA-256 of the whole of an imported key. */
  readonly hash: string;
  readonly hashKind: "hmac" | "sha256";
  /** Which pepper; empty for sha256. */
  readonly pepperId: string;
  /** What lists show of the key, so that its holder knows it again: never enough to use it. */
  readonly prefix: string;
  readonly roles: readonly Role[];
  readonly scopes: readonly Scope[];
  /** Models, routes and aliases that it may name; empty: all. */
  readonly models: readonly string[];
  /** `METHOD /path`; empty: all. */
  readonly endpoints: readonly string[];
  /** Addresses and CIDR ranges; empty: all. */
  readonly ipAllow: readonly string[];
  /** Empty: bound to none. */
  readonly app: string;
  readonly cacheSalt: string;
  readonly enabled: boolean;
  /** Milliseconds since 1970, as every time here. */
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly expiresAt: number | undefined;
  readonly revokedAt: number | undefined;
  /** Written now and then, by `touch`; changes neither etag nor version. */
  readonly lastUsedAt: number | undefined;
  /** Id of the key that this one replaces; empty where none. */
  readonly rotatedFrom: string;
  /** Rises over all keys of the gateway with every change, in the order in which changes became visible. */
  readonly version: number;
  readonly etag: string;
}

export type NewApiKey = Omit<ApiKeyRecord, "tenant" | "createdAt" | "updatedAt" | "revokedAt" | "lastUsedAt" | "version" | "etag">;

export type ApiKeyChanges = Partial<
  Pick<
    ApiKeyRecord,
    | "name"
    | "owner"
    | "roles"
    | "scopes"
    | "models"
    | "endpoints"
    | "ipAllow"
    | "app"
    | "cacheSalt"
    | "enabled"
    | "expiresAt"
    | "revokedAt"
    | "hash"
    | "pepperId"
  >
>;

export interface ApiKeyFilter {
  readonly project?: string | undefined;
  readonly owner?: string | undefined;
  readonly app?: string | undefined;
  /** Keys that were given this role by name. */
  readonly role?: Role | undefined;
  /** Text anywhere in the name, without regard to the case of ASCII letters. */
  readonly search?: string | undefined;
  /** Beginning of the id. */
  readonly idPrefix?: string | undefined;
  /** Beginning of the hash. */
  readonly hashPrefix?: string | undefined;
  /** Whether revoked keys are listed; true where left out. */
  readonly revoked?: boolean | undefined;
}

/** Keys and projects of one tenant as they are in the middle of a change: with it, and with every change that came before. */
export interface ChangingKeys {
  readonly keys: Pick<KeyStore, "get" | "list">;
  readonly projects: { get(tenant: string, id: string): Promise<{ readonly enabled: boolean } | undefined> };
}

/** Throws what is wrong with a change. It uses nothing but its argument, and may run again. */
export type KeyCheck = (changing: ChangingKeys) => Promise<void>;

/** Keys are revoked, never deleted: the log and the ledger name them. */
export interface KeyStore {
  create(tenant: string, key: NewApiKey): Promise<ApiKeyRecord>;
  get(tenant: string, id: string): Promise<ApiKeyRecord | undefined>;
  /** Newest first. */
  list(tenant: string, filter: ApiKeyFilter, page: PageRequest): Promise<Page<ApiKeyRecord>>;
  /** What `check` throws undoes the change; no other change of keys comes between the two. */
  update(tenant: string, id: string, changes: ApiKeyChanges, etag?: string, check?: KeyCheck): Promise<ApiKeyRecord>;
  /** Notes last uses; an older time than the one that stands changes nothing, an unknown key is passed over. */
  touch(uses: readonly { readonly tenant: string; readonly id: string; readonly at: number }[]): Promise<void>;
  /** For authentication alone, which learns the tenant from the record. */
  findById(id: string): Promise<ApiKeyRecord | undefined>;
  /** Keys of imported shapes, by the lower-case hex of their SHA-256; as findById for authentication alone. */
  findBySha256(hash: string): Promise<ApiKeyRecord | undefined>;
  /** The newest version over all tenants, 0 where there is no key: what a poll for revocations compares. */
  version(): Promise<number>;
  /** What changed after a version, oldest change first, over all tenants: for the cache of verified keys. */
  changesSince(version: number, limit: number): Promise<readonly ApiKeyRecord[]>;
  /** Whether any key stands, over all tenants: a first start prints one. */
  isEmpty(): Promise<boolean>;
}
