/** Access that counts who was let in and who was not. */
import type { Access } from "../core/access.ts";
import { GatewayError } from "../core/error.ts";
import type { Metrics } from "../core/metrics.ts";
import type { Principal } from "../core/principal.ts";

export function measureAccess(access: Access, metrics: Metrics): Access {
  const admit = (principal: Principal): Principal => {
    if (principal.kind !== "anonymous") metrics.authenticated();
    return principal;
  };
  const refuse = (thrown: unknown): never => {
    if (thrown instanceof GatewayError && thrown.reason === "unauthenticated") metrics.notAuthenticated();
    throw thrown;
  };
  return {
    enabled: access.enabled,
    authenticate(credential, peer) {
      try {
        const known = access.authenticate(credential, peer);
        return known instanceof Promise ? known.then(admit, refuse) : admit(known);
      } catch (thrown) {
        return refuse(thrown);
      }
    },
  };
}
