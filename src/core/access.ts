/** Who is calling: what the surfaces need of access. */
import type { Principal } from "./call.ts";

export interface Access {
  /** False where auth is switched off: every caller is anonymous. */
  readonly enabled: boolean;
  /**
   * The principal behind a credential; undefined means the caller sent none. Throws GatewayError `unauthenticated` with
   * one message for every kind of wrong credential.
   */
  authenticate(credential: string | undefined): Principal | Promise<Principal>;
}
