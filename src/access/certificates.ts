/** Services that show a client certificate: its SPIFFE id or DNS name says who they are (reliability.md 2.3). */
import { createPrincipal, defaultProject, defaultTenant, type Principal, type Role } from "../core/principal.ts";
import type { Scope } from "../core/scope.ts";
import { readGrants } from "./grants.ts";

/** What a configured name stands for. */
export interface CertificateGrant {
  readonly tenant?: string | undefined;
  readonly project?: string | undefined;
  readonly roles?: readonly Role[] | undefined;
  readonly scopes?: readonly Scope[] | undefined;
  readonly models?: readonly string[] | undefined;
  readonly endpoints?: readonly string[] | undefined;
}

/** The principal of the first of a certificate's names (`URI:...`, `DNS:...`) that is configured. */
export type FindByCertificate = (names: readonly string[]) => Principal | undefined;

/** `grants` by SPIFFE id (`spiffe://...`) or DNS name. */
export function createCertificateMap(grants: Readonly<Record<string, CertificateGrant>>): FindByCertificate {
  const principals = new Map(Object.entries(grants).map(([name, grant]) => [labelOf(name), describe(name, grant)]));
  return (names) => {
    for (const name of names) {
      const found = principals.get(name);
      if (found !== undefined) return found;
    }
    return undefined;
  };
}

function labelOf(name: string): string {
  return name.includes("://") ? `URI:${name}` : `DNS:${name}`;
}

function describe(name: string, { tenant, project, roles = [], scopes = [], models = [], endpoints = [] }: CertificateGrant): Principal {
  return createPrincipal({
    id: `mtls:${name}`,
    kind: "mtls",
    tenant: tenant ?? defaultTenant,
    project: project ?? defaultProject,
    models,
    endpoints,
    ...readGrants({ roles, scopes, models, app: "" }),
  });
}
