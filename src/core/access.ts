/** Who is calling: what the surfaces need of access. */

import { GatewayError } from "./error.ts";
import type { Principal } from "./principal.ts";
import type { Scope } from "./scope.ts";

/** Characters of an API key that somebody chose: shorter ones can be guessed. */
export const minApiKeyLength = 16;

export interface Access {
  /** False where auth is switched off: every caller is anonymous. */
  readonly enabled: boolean;
  /**
   * The principal behind a credential; undefined means the caller sent none. Throws GatewayError `unauthenticated` with
   * one message for every kind of wrong credential.
   */
  authenticate(credential: string | undefined): Principal | Promise<Principal>;
}

/** Throws forbidden where the caller may not do this. Surfaces ask before they read a body, the pipeline asks again. */
export function requireScope({ id, scopes }: Principal, scope: Scope): void {
  if (scopes.has(scope) || scopes.has("*")) return;
  throw new GatewayError("forbidden", `the key ${id} does not have the scope "${scope}" that this call needs`);
}
