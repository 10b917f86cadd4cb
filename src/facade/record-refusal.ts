/** Requests that never became a call: wrong in themselves, or not allowed. The request log has them too. */

import type { BodyHash } from "../core/body-hash.ts";
import type { GatewayError } from "../core/error.ts";
import type { Principal } from "../core/principal.ts";
import type { Endpoint, FacadeOptions } from "./endpoint.ts";
import { headerOf, type NodeRequest } from "./exchange.ts";
import { type CallIds, newIds } from "./reply-headers.ts";
import type { Surface } from "./surface.ts";

export interface Refusal {
  readonly request: NodeRequest;
  readonly clientSignal: AbortSignal;
  readonly surface: Surface;
  readonly sent: BodyHash | undefined;
  readonly options: FacadeOptions;
  /** Undefined where the caller or the path is not known. */
  readonly known: { readonly principal: Principal; readonly endpoint: Endpoint } | undefined;
}

/** Leaves a record where the endpoint runs calls and the caller is known; gives the ids that the answer names. */
export function recordRefusal({ request, clientSignal, surface, sent, options, known }: Refusal, error: GatewayError): CallIds {
  const runs = known?.endpoint.runs;
  if (options.requestLog !== undefined && known !== undefined && runs !== undefined) {
    try {
      const header = (name: string) => headerOf(request, name);
      const { path } = known.endpoint;
      const { call, end } = options.starter.start({
        ...runs,
        surface: surface.name,
        path,
        principal: known.principal,
        clientSignal,
        sent,
        header,
      });
      call.span?.end("", call.attempts, error);
      end();
      options.requestLog.refused(call, "", error);
      return call;
    } catch {
      // The headers that say whose call it is are what is wrong.
    }
  }
  return newIds(request, options.clock.wall());
}
