/** Who is calling and what they may do: what the surfaces need of access. */
import { GatewayError } from "./error.ts";
import type { Peer } from "./peer.ts";
import { defaultTenant, type Principal, type Role } from "./principal.ts";
import { holdsScope, type Scope } from "./scope.ts";

/** Characters of an API key that somebody chose: shorter ones can be guessed. */
export const minApiKeyLength = 16;

export interface Access {
  /** False where auth is switched off: every caller is anonymous. */
  readonly enabled: boolean;
  /**
   * The principal behind a credential; undefined means the caller sent none. Throws GatewayError: `unauthenticated` with
   * one message for every kind of wrong credential, `forbidden` for a good one from a wrong address, `store_unavailable`
   * where nobody can tell now.
   */
  authenticate(credential: string | undefined, peer: Peer): Principal | Promise<Principal>;
}

/** What a caller needs for one operation: (dragoman.v1.auth) in our words. */
export interface AccessRule {
  readonly scope: Scope;
  /** The least of viewer, member, operator, admin. */
  readonly role: Exclude<Role, "auditor">;
  /** Whether auditors may too. */
  readonly auditor: boolean;
  /** Whether it shows or changes what is of all apps: keys that are bound to one are refused. */
  readonly beyondApps?: boolean;
}

const rank: Readonly<Record<Role, number>> = { auditor: 0, viewer: 1, member: 2, operator: 3, admin: 4 };

/** Throws forbidden where the caller may not do this. Surfaces ask before they read a body, the pipeline asks again. */
function requireScope({ id, scopes }: Principal, scope: Scope): void {
  if (holdsScope(scopes, scope)) return;
  throw new GatewayError("forbidden", `the key ${id} does not have the scope "${scope}" that this call needs`);
}

/** Throws forbidden unless the caller has both what the rule names: the scope, and one of the roles; app_mismatch where it is beyond their app. */
export function requireRule(principal: Principal, { scope, role, auditor, beyondApps = false }: AccessRule): void {
  requireScope(principal, scope);
  if (![...principal.roles].some((held) => rank[held] >= rank[role] || (auditor && held === "auditor"))) {
    throw new GatewayError("forbidden", `the key ${principal.id} does not have the role "${role}" that this call needs`);
  }
  if (beyondApps && principal.app !== "") {
    throw new GatewayError("app_mismatch", `the key ${principal.id} is bound to an app; this looks over all apps of the tenant`);
  }
}

/** Throws app_mismatch where a caller that is bound to an app asks for another one; `asked` is empty where it names none. */
export function requireApp({ id, app }: Principal, asked: string): void {
  if (app === "" || asked === "" || asked === app) return;
  throw new GatewayError("app_mismatch", `the key ${id} is bound to another app than the one that the call names`, {
    fields: [{ field: "options.policy", description: "is not the app of the key; leave it out" }],
  });
}

/** Throws forbidden where the caller is held to other endpoints. `names` are the ways to write this one, `METHOD /path`. */
export function requireEndpoint({ id, endpoints }: Principal, names: readonly string[]): void {
  if (endpoints.length === 0 || names.some((name) => endpoints.includes(name))) return;
  throw new GatewayError("forbidden", `the key ${id} may not call ${names[0] ?? "this"}`);
}

/** Whether a caller sees all tenants: admins and auditors of the tenant that runs the gateway. */
export function seesAllTenants({ tenant, roles }: Principal): boolean {
  return tenant === defaultTenant && (roles.has("admin") || roles.has("auditor"));
}

/** Whether a caller may change other tenants than their own: auditors only look. */
export function changesAllTenants({ tenant, roles }: Principal): boolean {
  return tenant === defaultTenant && roles.has("admin");
}

/** What the caller named, and what it became. */
export interface NamedModel {
  /** As in the request. */
  readonly name: string;
  readonly targets: readonly { readonly provider: string; readonly model: string }[];
}

/**
 * Whether the caller may use a model, judged by what its name became: an entry is the name of the route, alias or model as
 * it was asked for, or it covers every target as `provider/model`, `provider/*` or the model's id alone.
 */
export function allowsModel({ models }: Pick<Principal, "models">, { name, targets }: NamedModel): boolean {
  if (models.length === 0) return true;
  const asked = name.startsWith("@") ? name.slice(1) : name;
  if (models.includes(asked)) return true;
  return targets.length > 0 && targets.every((target) => models.some((entry) => covers(entry, target)));
}

/** Throws forbidden where the caller is held to other models. */
export function requireModel(principal: Principal, named: NamedModel): void {
  if (allowsModel(principal, named)) return;
  throw new GatewayError("forbidden", `the key ${principal.id} may not use this model; GET /v1/models lists those that it may`, {
    fields: [{ field: "model", description: "is not among the models of the key" }],
  });
}

function covers(entry: string, { provider, model }: { readonly provider: string; readonly model: string }): boolean {
  if (entry === model || entry === `${provider}/${model}`) return true;
  return entry.endsWith("*") && `${provider}/${model}`.startsWith(entry.slice(0, -1));
}
