/** Who is calling, as decided by access. */
import { type Scope, scopes } from "./scope.ts";

/** What a person or service may do (reliability.md 2.3), least first. Imported `user` is member, `read-only` is viewer. */
export const roles = ["viewer", "member", "operator", "admin", "auditor"] as const;

export type Role = (typeof roles)[number];

/** The tenant and project of whoever belongs to none: one organisation on its own never names them. */
export const defaultTenant = "default";
export const defaultProject = "default";

export interface Principal {
  /** Safe to log: never the credential. `anonymous` where auth is off, a key's id, `oidc:<hash>`, `mtls:<name>`. */
  readonly id: string;
  readonly kind: "anonymous" | "key" | "oidc" | "mtls";
  /** No byte of one tenant reaches another. */
  readonly tenant: string;
  readonly project: string;
  /** The person or service that owns the key; empty where nobody was named. */
  readonly owner: string;
  readonly roles: ReadonlySet<Role>;
  readonly scopes: ReadonlySet<Scope>;
  /** Models, routes and aliases that it may name; empty: all. */
  readonly models: readonly string[];
  /** `METHOD /path`, exact; empty: all. */
  readonly endpoints: readonly string[];
  /** The app that a key is bound to; empty: none. */
  readonly app: string;
}

/** A principal with what it is not said to have left at its widest; a member where no role is named. */
export function createPrincipal(facts: Pick<Principal, "id" | "scopes"> & Partial<Principal>): Principal {
  return {
    kind: "key",
    tenant: defaultTenant,
    project: defaultProject,
    owner: "",
    roles: new Set(["member"]),
    models: [],
    endpoints: [],
    app: "",
    ...facts,
  };
}

export function isRole(word: string): word is Role {
  return (roles as readonly string[]).includes(word);
}

const readerScopes: readonly Scope[] = ["models", "requests.read", "policy.read"];

const scopesOfRole: Readonly<Record<Role, readonly Scope[]>> = {
  viewer: readerScopes,
  member: scopes.filter((scope) => !["policy.write", "admin", "admin.read", "*"].includes(scope)),
  operator: scopes.filter((scope) => !["admin", "*"].includes(scope)),
  admin: ["*"],
  auditor: [...readerScopes, "admin.read"],
};

/** What roles imply where a credential names no scopes. Whoever is held to some models or to an app must be given `passthrough` by name. */
export function impliedScopes(held: Iterable<Role>, restricted: boolean): ReadonlySet<Scope> {
  const implied = new Set([...held].flatMap((role) => scopesOfRole[role]));
  if (restricted && !implied.has("*")) implied.delete("passthrough");
  return implied;
}
