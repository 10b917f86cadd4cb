/** A key that is bound to an app calls by that app's policy and no other (surfaces.md 2.4). */
import { requireApp } from "../core/access.ts";
import type { Stage } from "./stage.ts";

/** Before anything that was recorded is answered from. Throws app_mismatch. */
export function holdToApp<Request, Reply>(): Stage<Request, Reply> {
  return (next) => (request, call) => {
    requireApp(call.principal, call.options?.policy ?? "");
    return next(request, call);
  };
}
