/** What every request passes before a surface has it: the rules for its head, and the watch over its exchange. */
import { GatewayError } from "../core/error.ts";
import type { Logger } from "../core/log.ts";
import type { NodeHandler, NodeRequest, NodeResponse } from "../core/node-handler.ts";
import { sendRpcRefusal } from "../rpc/refusal.ts";
import { ExchangeWatch } from "./exchange-watch.ts";
import type { ServerLimits } from "./limits.ts";
import { plainErrorHeaders, writePlainError } from "./plain-error.ts";
import { createRequestCheck } from "./request-rules.ts";

export interface GuardOptions {
  readonly handler: NodeHandler;
  readonly limits: ServerLimits;
  readonly inboundHeaders: readonly string[];
  readonly log: Logger;
}

export interface Guard {
  readonly handler: NodeHandler;
  /** Stops the watch. */
  stop(): void;
}

export function createGuard({ handler, limits, inboundHeaders, log }: GuardOptions): Guard {
  const check = createRequestCheck({ limits, inboundHeaders });
  const watch = new ExchangeWatch({
    limits,
    onStall: () => log.debug("a client stopped reading and was cut off"),
    onSlowBody: (request, response) =>
      sendRefusal(request, response, new GatewayError("invalid_request", "the request's body did not arrive in time", { status: 408 })),
  });

  return {
    stop: () => watch.stop(),
    handler(request, response) {
      // Node emits what a surface wrote too late; the client has what there is.
      response.on("error", (error: Error) => log.debug("an answer could not be written", { error: error.message }));
      watch.watch(request, response);
      const refusal = check(request);
      if (refusal !== undefined) {
        sendRefusal(request, response, refusal);
        return;
      }
      try {
        handler(request, response);
      } catch (thrown) {
        log.error("a handler threw", { error: thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown) });
        sendRefusal(request, response, GatewayError.from(thrown));
      }
    },
  };
}

/** Answers without a surface, and reads no more of the request. */
export function sendRefusal(request: NodeRequest, response: NodeResponse, error: GatewayError): void {
  if (response.headersSent || response.destroyed) return;
  if (!("stream" in response)) response.shouldKeepAlive = false;
  if (sendRpcRefusal(request, response, error)) return;
  const body = writePlainError(error);
  const headers = { ...plainErrorHeaders(error), "content-length": Buffer.byteLength(body) };
  if ("stream" in response) response.writeHead(error.status, headers).end(body);
  else response.writeHead(error.status, headers).end(body);
}
