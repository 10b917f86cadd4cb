/** Who is calling: what the surfaces need of access. */
import type { Principal } from "./call.ts";

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
