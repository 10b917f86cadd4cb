/** What an endpoint of the /v1 surface is given. */
import type { Access } from "../core/access.ts";
import type { Clock } from "../core/clock.ts";
import type { CallStarter } from "../core/incoming.ts";
import type { Logger } from "../core/log.ts";
import type { Operations } from "../core/operations.ts";
import type { NodeRequest, NodeResponse } from "./exchange.ts";
import type { BodyLimits } from "./read-body.ts";

export interface V1Options {
  readonly operations: Operations;
  readonly access: Access;
  readonly starter: CallStarter;
  readonly clock: Clock;
  readonly log: Logger;
  readonly body: BodyLimits;
  /** What `stream` is where a client leaves it out (surfaces.md N4). */
  readonly defaultStream: boolean;
}

/** What an endpoint gets. It throws GatewayError for every failure before its answer's first byte. */
export interface Exchange {
  readonly request: NodeRequest;
  readonly response: NodeResponse;
  readonly clientSignal: AbortSignal;
  /** The part of the path behind the endpoint's prefix, percent-decoded; empty where there is none. */
  readonly rest: string;
  readonly options: V1Options;
  /** Resolves the caller. Called before the body is read. */
  authenticate(): ReturnType<Access["authenticate"]>;
}

export interface Endpoint {
  readonly method: "GET" | "POST";
  /** Whole path, or a prefix where it ends with a slash. */
  readonly path: string;
  answer(exchange: Exchange): Promise<void>;
}
