/** Connect's universal handlers behind Node's two HTTP servers: Connect, gRPC and gRPC-Web on the same paths. */
import { Code, ConnectError, type ConnectRouter, type ContextValues, createConnectRouter, createContextValues } from "@connectrpc/connect";
import type { UniversalHandler } from "@connectrpc/connect/protocol";
import {
  compressionBrotli,
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from "@connectrpc/connect-node";
import { hashSentBody } from "../core/body-hash.ts";
import { GatewayError } from "../core/error.ts";
import type { Logger } from "../core/log.ts";
import type { NodeHandler, NodeRequest, NodeResponse } from "../core/node-handler.ts";
import { setPathTemplate } from "../core/path-template.ts";
import { RequestPeer } from "../core/peer.ts";
import { idsWithoutCall } from "./call-ids.ts";
import { peerKey, sentBodyKey } from "./gate.ts";
import { amendResponse } from "./protocol-errors.ts";
import { sendRpcRefusal } from "./refusal.ts";
import type { RpcLimits } from "./rpc-limits.ts";
import { clampTimeouts } from "./timeout-headers.ts";

export interface ConnectHandlerOptions {
  routes(router: ConnectRouter): void;
  readonly limits: RpcLimits;
  /** Whether the request log is to hold SHA-256 of answers. */
  readonly hashBodies?: boolean | undefined;
  /** Ends every running call when aborted. Its reason is a GatewayError. */
  readonly shutdownSignal?: AbortSignal | undefined;
  readonly log: Logger;
  /** Takes everything that is no procedure of the routes. */
  readonly fallback: NodeHandler;
}

export function createConnectHandler({ routes, limits, hashBodies, shutdownSignal, log, fallback }: ConnectHandlerOptions): NodeHandler {
  const router = createConnectRouter({
    acceptCompression: [compressionGzip, compressionBrotli],
    readMaxBytes: limits.controlMessageBytes,
    writeMaxBytes: limits.answerMessageBytes,
    maxTimeoutMs: limits.maxTimeoutMs,
    ...(shutdownSignal === undefined ? {} : { shutdownSignal }),
  });
  routes(router);
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));

  return (request, response) => {
    const url = request.url ?? "";
    const query = url.indexOf("?");
    const handler = handlers.get(query === -1 ? url : url.slice(0, query));
    if (handler === undefined) fallback(request, response);
    else {
      setPathTemplate(request, handler.requestPath);
      void answer(handler, request, response);
    }
  };

  function contextOf(request: NodeRequest, response: NodeResponse): ContextValues {
    const values = createContextValues().set(peerKey, new RequestPeer(request));
    return hashBodies === true ? values.set(sentBodyKey, hashSentBody(response)) : values;
  }

  async function answer(handler: UniversalHandler, request: NodeRequest, response: NodeResponse): Promise<void> {
    try {
      const universal = universalRequestFromNodeRequest(request, response, undefined, contextOf(request, response));
      // A message that is refused half-read must not take the stream with it: the answer still has to leave.
      const read = { ...universal, body: request.iterator({ destroyOnReturn: false }) };
      clampTimeouts(read.header, limits.maxTimeoutMs);
      const makeIds = () => idsWithoutCall(read.header.get("x-request-id"));
      await universalResponseToNodeResponse(await amendResponse(await handler(read), handler, makeIds), response);
    } catch (thrown) {
      if (hasLeft(thrown, response)) return;
      log.error("an answer could not be sent", {
        method: handler.method.name,
        error: thrown instanceof Error ? thrown.stack : String(thrown),
      });
      if (!response.headersSent) sendRpcRefusal(request, response, GatewayError.from(thrown));
      else response.destroy();
    }
  }
}

/** A client that goes away is no failure; it shows as an abort or as an answer that nobody takes. */
function hasLeft(thrown: unknown, response: NodeResponse): boolean {
  if (response.destroyed || response.writableEnded) return true;
  return thrown instanceof ConnectError && (thrown.code === Code.Aborted || thrown.code === Code.Canceled);
}
