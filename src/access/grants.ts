/** What a credential grants: roles as they are said, and scopes as they are said or as the roles imply. */
import { impliedScopes, type Role } from "../core/principal.ts";
import type { Scope } from "../core/scope.ts";

export interface SaidGrants {
  /** Empty: member. */
  readonly roles: readonly Role[];
  /** Empty: what the roles imply. */
  readonly scopes: readonly Scope[];
  readonly models: readonly string[];
  readonly app: string;
}

export interface Grants {
  readonly roles: ReadonlySet<Role>;
  readonly scopes: ReadonlySet<Scope>;
}

export function readGrants({ roles: said, scopes, models, app }: SaidGrants): Grants {
  const roles = new Set<Role>(said.length === 0 ? ["member"] : said);
  const restricted = models.length > 0 || app !== "";
  // Whoever may call may see what there is to call.
  return { roles, scopes: scopes.length === 0 ? impliedScopes(roles, restricted) : new Set<Scope>([...scopes, "models"]) };
}
