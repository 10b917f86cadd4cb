/** What stands before every procedure: who is calling, and may they. Runs when the headers are there, before a message is read. */
import type { DescMethod } from "@bufbuild/protobuf";
import { type ConnectRouter, createContextKey, type HandlerContext } from "@connectrpc/connect";
import { type Access, requireEndpoint, requireRule } from "../core/access.ts";
import type { BodyHash } from "../core/body-hash.ts";
import { readCredential } from "../core/credential.ts";
import { GatewayError } from "../core/error.ts";
import type { CallerPace } from "../core/limits.ts";
import type { Metrics } from "../core/metrics.ts";
import type { OverloadGate } from "../core/overload.ts";
import { isLoopbackAddress, noPeer, type Peer } from "../core/peer.ts";
import type { Principal } from "../core/principal.ts";
import { type Plane, readAuthRule } from "./auth-rule.ts";
import { idsWithoutCall } from "./call-ids.ts";
import { toConnectError } from "./connect-error.ts";

/** Set before a message is read, by whoever authenticates. */
const principalKey = createContextKey<Principal | undefined>(undefined, { description: "who is calling" });

/** Set by whoever has the connection. */
export const peerKey = createContextKey<Peer>(noPeer, { description: "the other end of the connection" });

/** Of the answer's body; undefined where bodies are not hashed. */
export const sentBodyKey = createContextKey<BodyHash | undefined>(undefined, { description: "hash of the answer" });

type RequestGate = NonNullable<NonNullable<Parameters<ConnectRouter["rpc"]>[2]>["requestGate"]>;

export type OnRefused = (principal: Principal, error: GatewayError, context: HandlerContext) => Promise<void>;

/** The caller, who may make this call now; `onCaller` is told who it is before that is judged. Throws GatewayError. */
export type Judge = (
  context: Pick<HandlerContext, "requestHeader" | "requestMethod" | "values">,
  onCaller?: (principal: Principal) => void,
) => Promise<Principal>;

/** Throws at once where the method does not say who may call it. */
export function createJudge(access: Access, method: DescMethod, plane: Plane): Judge {
  const rule = readAuthRule(method, plane);
  const path = `/${method.parent.typeName}/${method.name}`;
  return async ({ requestHeader, requestMethod, values }, onCaller) => {
    const peer = values.get(peerKey);
    const principal = await access.authenticate(
      readCredential((name) => requestHeader.get(name)),
      peer,
    );
    onCaller?.(principal);
    if (plane === "admin" && principal.kind === "anonymous") refuseStrangers(peer);
    // A procedure is one thing, by whichever HTTP method it is called.
    requireEndpoint(principal, [`POST ${path}`, `${requestMethod} ${path}`]);
    requireRule(principal, rule);
    return principal;
  };
}

export interface GateOptions {
  /** Told of callers who are known and are refused, before the refusal leaves. */
  readonly onRefused?: OnRefused | undefined;
  /** Absent: nothing is counted. */
  readonly metrics?: Metrics | undefined;
  /** Absent: callers may come as often as they like. */
  readonly pace?: CallerPace | undefined;
  /** Absent: callers are let in however busy the process is. */
  readonly overload?: OverloadGate | undefined;
}

/** Throws at once where the method does not say who may call it. */
export function createGate(access: Access, method: DescMethod, plane: Plane, options: GateOptions = {}): RequestGate {
  const { onRefused, metrics, pace, overload } = options;
  const judge = createJudge(access, method, plane);
  return async (context) => {
    const { requestHeader, values } = context;
    let caller: Principal | undefined;
    try {
      values.set(principalKey, await judge(context, (principal) => (caller = principal)));
      await pace?.check(principalOf(context), values.get(peerKey));
      const overloaded = overload?.refusal();
      if (overloaded !== undefined) throw overloaded;
    } catch (thrown) {
      const error = GatewayError.from(thrown);
      metrics?.refused(error);
      if (caller !== undefined && error.status !== 401) await onRefused?.(caller, error, context);
      throw toConnectError(error, idsWithoutCall(requestHeader.get("x-request-id")));
    }
  };
}

/** Throws where nobody was authenticated: a fault of whoever mounted the procedure. */
export function principalOf({ values }: Pick<HandlerContext, "values">): Principal {
  const principal = values.get(principalKey);
  if (principal === undefined) throw new Error("no one has been authenticated");
  return principal;
}

/**
 * Without auth the admin services are for this machine alone: not for others behind a TLS listener, and not for a web page
 * whose name somebody let point to this machine.
 */
function refuseStrangers({ address, host }: Peer): void {
  const name = host.replace(/:\d+$/, "");
  const isOwnName = /^(?:localhost|\d+\.\d+\.\d+\.\d+|\[[0-9a-f:.]+\])$/i.test(name);
  if (isLoopbackAddress(address) && isOwnName) return;
  throw new GatewayError("unauthenticated", "auth is off, so the admin services answer only this machine, by localhost or an address", {
    headers: { "www-authenticate": 'Bearer realm="dragoman"' },
  });
}
