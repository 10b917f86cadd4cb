/** What every request passes before a surface has it: the rules for its head, and the watch over its exchange. */
import http2 from "node:http2";
import { GatewayError } from "../core/error.ts";
import type { Logger } from "../core/log.ts";
import type { NodeHandler, NodeRequest, NodeResponse } from "../core/node-handler.ts";
import { idsWithoutCall } from "../rpc/call-ids.ts";
import { sendRpcRefusal } from "../rpc/refusal.ts";
import type { ExchangeCount } from "./exchange-count.ts";
import { ExchangeWatch } from "./exchange-watch.ts";
import type { ServerLimits } from "./limits.ts";
import { plainErrorHeaders, writePlainError } from "./plain-error.ts";
import { createRequestCheck } from "./request-rules.ts";

const discardMs = 100;

export interface GuardOptions {
  readonly handler: NodeHandler;
  readonly limits: ServerLimits;
  readonly inboundHeaders: readonly string[];
  /** Told of every exchange as it begins; absent: nobody is. */
  readonly count?: ExchangeCount | undefined;
  readonly log: Logger;
}

export interface Guard {
  readonly handler: NodeHandler;
  /** Exchanges that have no complete answer yet. */
  running(): number;
  /** Stops the watch. */
  stop(): void;
}

export function createGuard({ handler, limits, inboundHeaders, count, log }: GuardOptions): Guard {
  const check = createRequestCheck({ limits, inboundHeaders });
  const watch = new ExchangeWatch({
    limits,
    onStall: () => log.debug("a client stopped reading and was cut off"),
    onSlowBody: (request, response) =>
      sendRefusal(request, response, new GatewayError("invalid_request", "the request's body did not arrive in time", { status: 408 })),
  });

  return {
    running: () => watch.size,
    stop: () => watch.stop(),
    handler(request, response) {
      // Node emits what a surface wrote too late; the client has what there is.
      response.on("error", (error: Error) => log.debug("an answer could not be written", { error: error.message }));
      watch.watch(request, response);
      count?.(request, response);
      discardRest(request, response);
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

/**
 * What a client still sends after its answer is read and thrown away: unread, it would block the connection for what
 * comes next. An HTTP/2 stream is told to stop soon (RFC 9113 section 8.1); Node does that only where nothing was read.
 */
function discardRest(request: NodeRequest, response: NodeResponse): void {
  const answer = "stream" in response ? response.stream : response;
  answer.once("finish", () => {
    if (request.readableEnded) return;
    request.resume();
    if (!("stream" in request)) return;
    const { stream } = request;
    setTimeout(() => {
      if (!stream.closed) stream.close(http2.constants.NGHTTP2_NO_ERROR);
    }, discardMs).unref();
  });
}

/** Answers without a surface, and reads no more of the request. */
export function sendRefusal(request: NodeRequest, response: NodeResponse, error: GatewayError): void {
  if (response.headersSent || response.destroyed) return;
  if (!("stream" in response)) response.shouldKeepAlive = false;
  if (sendRpcRefusal(request, response, error)) return;
  const body = writePlainError(error);
  const sent = request.headers["x-request-id"];
  const { requestId, clientRequestId } = idsWithoutCall(typeof sent === "string" ? sent : undefined);
  const headers = {
    ...plainErrorHeaders(error),
    "x-request-id": clientRequestId,
    "x-dragoman-request-id": requestId,
    "content-length": Buffer.byteLength(body),
  };
  if ("stream" in response) response.writeHead(error.status, headers).end(body);
  else response.writeHead(error.status, headers).end(body);
}
