/** Who is calling, as decided by access. */
import type { Scope } from "./scope.ts";

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

/** A principal with what it is not said to have left at its widest, and no roles. */
export function createPrincipal(facts: Pick<Principal, "id" | "scopes"> & Partial<Principal>): Principal {
  return {
    kind: "key",
    tenant: defaultTenant,
    project: defaultProject,
    owner: "",
    roles: new Set(),
    models: [],
    endpoints: [],
    app: "",
    ...facts,
  };
}
