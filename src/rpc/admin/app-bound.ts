/** Keys that are bound to an app, where records do not say whose app they are of. */
import { GatewayError } from "../../core/error.ts";
import type { AdminCall } from "./admin-call.ts";

/** Throws forbidden for a key that is bound to an app: what it asks for would show it the calls of others. */
export function refuseAppKeys({ principal }: AdminCall): void {
  if (principal.app === "") return;
  throw new GatewayError("forbidden", `the key ${principal.id} is bound to an app; this looks over all apps of the tenant`);
}
