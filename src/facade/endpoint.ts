/** What an endpoint is, and what it is given. */
import type { Access, AccessRule } from "../core/access.ts";
import type { BodyHash } from "../core/body-hash.ts";
import type { Clock } from "../core/clock.ts";
import type { CallStarter, IncomingCall } from "../core/incoming.ts";
import type { CallerPace } from "../core/limits.ts";
import type { Logger } from "../core/log.ts";
import type { Metrics } from "../core/metrics.ts";
import type { Operations } from "../core/operations.ts";
import type { OverloadGate } from "../core/overload.ts";
import type { Principal } from "../core/principal.ts";
import type { RequestLog } from "../core/request-log.ts";
import type { ResponseStore } from "../core/response-store.ts";
import type { Scope } from "../core/scope.ts";
import type { WorkerLink } from "../core/worker-link.ts";
import type { NodeRequest, NodeResponse } from "./exchange.ts";
import type { BodyLimits } from "./read-body.ts";
import type { Surface } from "./surface.ts";

export interface FacadeOptions {
  readonly operations: Operations;
  readonly access: Access;
  readonly starter: CallStarter;
  readonly responses: ResponseStore;
  readonly clock: Clock;
  /** Absent: nothing is counted. */
  readonly metrics?: Metrics | undefined;
  /** Absent: what is refused before it is a call leaves no record. */
  readonly requestLog?: RequestLog | undefined;
  readonly log: Logger;
  readonly body: BodyLimits;
  /** Absent: callers may come as often as they like. */
  readonly pace?: CallerPace | undefined;
  /** Absent: calls are taken however busy the process is. */
  readonly overload?: OverloadGate | undefined;
  /** Whether the request log is to hold SHA-256 of answers. */
  readonly hashBodies?: boolean | undefined;
  /** What `stream` is where a client of chat completions leaves it out (surfaces.md N4). */
  readonly defaultStream: boolean;
  /** Where this process is one of several workers. */
  readonly link?: WorkerLink | undefined;
}

/** What an endpoint gets. It throws GatewayError for every failure before its answer's first byte. */
export interface Exchange {
  readonly request: NodeRequest;
  readonly response: NodeResponse;
  readonly clientSignal: AbortSignal;
  readonly surface: Surface;
  /** Authenticated, and with the endpoint's scope. */
  readonly principal: Principal;
  /** What stands in the path for the pattern's names, percent-decoded. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** Of the answer; absent: bodies are not hashed. */
  readonly sent?: BodyHash | undefined;
  readonly options: FacadeOptions;
}

export type Answer = (exchange: Exchange) => Promise<void>;

export interface Endpoint {
  readonly method: "GET" | "POST" | "DELETE";
  /** `{name}` stands for one segment, `{name+}` for one or more, as model names may hold slashes. */
  readonly path: string;
  /** What the caller must be allowed to do; asked before the body is read (surfaces.md 2.6). */
  readonly scope: Scope;
  readonly answer: Answer;
  /** What kind of calls it runs; absent: none. */
  readonly runs?: Pick<IncomingCall, "operation" | "dialect"> | undefined;
}

/** Whoever may only read may ask, not call: viewers and auditors have GET. */
export function ruleOf({ method, scope }: Pick<Endpoint, "method" | "scope">): AccessRule {
  const reads = method === "GET";
  return { scope, role: reads ? "viewer" : "member", auditor: reads };
}
