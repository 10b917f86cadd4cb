/** Everything that says who calls, put together from the configuration and the stores. */
import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/error.ts";
import type { Logger } from "../core/log.ts";
import { defaultTenant, type Role } from "../core/principal.ts";
import type { Scope } from "../core/scope.ts";
import type { Secret } from "../core/secret.ts";
import type { Stores } from "../core/stores.ts";
import type { TokenAlgorithm } from "../core/token-algorithm.ts";
import { type AccessControl, createAccess } from "./access.ts";
import { type CertificateGrant, createCertificateMap } from "./certificates.ts";
import { type FetchJson, Jwks } from "./jwks.ts";
import { installer, KeyAdministration, plainKey } from "./key-administration.ts";
import { KeyChanges } from "./key-changes.ts";
import { OpenTenants } from "./open-tenants.ts";
import type { Peppers } from "./pepper.ts";
import { openPeppers, type PepperSettings } from "./pepper-file.ts";
import { StoredKeys } from "./stored-keys.ts";
import { Tokens } from "./tokens.ts";

/** The configuration's `auth` section. */
export interface AuthSettings extends PepperSettings {
  readonly enabled: boolean;
  readonly api_keys_file?: string | undefined;
  readonly api_key?: Secret | undefined;
  readonly oidc_issuer?: string | undefined;
  readonly oidc_audience: readonly string[];
  readonly oidc_jwks_url?: string | undefined;
  /** Seconds. */
  readonly oidc_jwks_ttl: number;
  readonly oidc_algorithms: readonly TokenAlgorithm[];
  readonly oidc_roles_claim: string;
  readonly oidc_roles: Readonly<Record<string, Role>>;
  readonly oidc_default_role: Role;
  readonly oidc_groups_claim: string;
  readonly oidc_groups: Readonly<Record<string, readonly Scope[]>>;
  readonly oidc_tenant_claim: string;
  readonly oidc_project_claim: string;
  readonly mtls: Readonly<Record<string, CertificateGrant>>;
}

export interface OpenAccessOptions {
  readonly auth: AuthSettings;
  readonly trustedProxies: readonly string[];
  /** As AccessOptions has it. */
  readonly hostNames: readonly string[];
  /** Where the pepper is made where none is configured. */
  readonly dataDir: string;
  readonly stores: Pick<Stores, "engine" | "keys" | "tenants" | "projects">;
  readonly fetchJson: FetchJson;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface OpenedAccess {
  readonly access: AccessControl;
  readonly administration: KeyAdministration;
  /** An administrator's key, made because nobody else could get in; shown once, never logged. */
  readonly firstKey: Secret | undefined;
  /** Keys of a tenant that was changed are looked up again. */
  forgetTenant(tenant: string): void;
  close(): Promise<void>;
}

/** The first administrator's key has one id for ever: of several processes that begin at once, one makes it. */
const firstKeyId = "firstadmin00";

/** Throws KeyFileError and StartError. A store that is away does not stop the start. */
export async function openAccess(options: OpenAccessOptions): Promise<OpenedAccess> {
  const { auth, trustedProxies, hostNames, dataDir, stores, clock, log } = options;
  const peppers = once(() => openPeppers(auth, dataDir));
  const pepper = () => peppers().current;
  if (!auth.enabled) {
    const administration = new KeyAdministration({ ...stores, pepper, clock });
    return { access: createAccess({ ...auth, hostNames }), administration, firstKey: undefined, forgetTenant() {}, close: async () => {} };
  }
  const changes = new KeyChanges({ keys: stores.keys, log });
  const stored = new StoredKeys({ ...stores, peppers, changes, clock, log });
  const openTenants = new OpenTenants({ ...stores, clock });
  const administration = new KeyAdministration({ ...stores, pepper, clock, changes });
  const access = createAccess(
    {
      enabled: true,
      api_keys_file: auth.api_keys_file,
      api_key: auth.api_key,
      trustedProxies,
      stored,
      tokens: createTokens(options),
      openTenants,
      findByCertificate: Object.keys(auth.mtls).length === 0 ? undefined : createCertificateMap(auth.mtls),
    },
    log,
  );
  const firstKey = hasOtherWays(auth) ? undefined : await makeFirstKey(administration, stores, log);
  if (stores.engine === "memory") changes.trust();
  else await changes.start();
  return {
    access,
    administration,
    firstKey,
    forgetTenant(tenant) {
      stored.forgetTenant(tenant);
      openTenants.forget(tenant);
    },
    async close() {
      access.close();
      await changes.close();
    },
  };
}

function createTokens({ auth, fetchJson, clock, log }: OpenAccessOptions): Tokens | undefined {
  const { oidc_issuer: issuer, oidc_jwks_url: url } = auth;
  if (issuer === undefined) return undefined;
  return new Tokens({
    issuer,
    audience: auth.oidc_audience,
    algorithms: auth.oidc_algorithms,
    claims: {
      rolesClaim: auth.oidc_roles_claim,
      roles: auth.oidc_roles,
      defaultRole: auth.oidc_default_role,
      groupsClaim: auth.oidc_groups_claim,
      groupScopes: auth.oidc_groups,
      tenantClaim: auth.oidc_tenant_claim,
      projectClaim: auth.oidc_project_claim,
    },
    jwks: new Jwks({
      issuer,
      url: url === undefined ? undefined : new URL(url),
      fetchJson,
      ttlMs: auth.oidc_jwks_ttl * 1_000,
      clock,
      log,
    }),
    clock,
  });
}

function hasOtherWays({ api_key, api_keys_file, oidc_issuer, mtls }: AuthSettings): boolean {
  return api_key !== undefined || api_keys_file !== undefined || oidc_issuer !== undefined || Object.keys(mtls).length > 0;
}

async function makeFirstKey(
  administration: KeyAdministration,
  { keys }: OpenAccessOptions["stores"],
  log: Logger,
): Promise<Secret | undefined> {
  try {
    if (!(await keys.isEmpty())) return undefined;
    const facts = { ...plainKey, name: "first administrator", roles: ["admin" as const] };
    const { secret } = await administration.create(defaultTenant, facts, installer, "live", firstKeyId);
    return secret;
  } catch (error) {
    // Somebody else was quicker, or the store is away: keys will be there when it is back, or the next start makes one.
    if (error instanceof GatewayError && ["already_exists", "store_unavailable", "timeout"].includes(error.reason)) {
      if (error.reason !== "already_exists") log.warn("no key could be made for a first administrator", { error });
      return undefined;
    }
    throw error;
  }
}

function once(make: () => Peppers): () => Peppers {
  let made: Peppers | undefined;
  return () => (made ??= make());
}
