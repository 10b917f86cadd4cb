/** A refusal before any procedure has the request, so that RPC clients still read our code and reason. */
import { errorToJson } from "@connectrpc/connect/protocol-connect";
import type { GatewayError } from "../core/error.ts";
import type { NodeRequest, NodeResponse } from "../core/node-handler.ts";
import { idsWithoutCall } from "./call-ids.ts";
import { toConnectError } from "./connect-error.ts";
import { writeGrpcStatus } from "./grpc-status.ts";

/** `/package.v1.Service/Procedure`. */
const procedurePath = /^\/[a-z][\w.]*\.[A-Z]\w*\/[A-Z]\w*(?:\?|$)/;

/** False where the request is no RPC; then nothing was sent. */
export function sendRpcRefusal(request: NodeRequest, response: NodeResponse, error: GatewayError): boolean {
  const type = request.headers["content-type"] ?? "";
  const isGrpc = type.startsWith("application/grpc");
  if (!isGrpc && !procedurePath.test(request.url ?? "")) return false;
  const sent = request.headers["x-request-id"];
  const refusal = toConnectError(error, idsWithoutCall(typeof sent === "string" ? sent : undefined));
  const headers = new Headers(refusal.metadata);
  if (isGrpc) {
    // Trailers-Only of the gRPC protocol: the status stands in the headers.
    writeGrpcStatus(headers, refusal);
    headers.set("content-type", type);
    end(response, 200, headers, "");
  } else {
    headers.set("content-type", "application/json");
    end(response, error.status, headers, JSON.stringify(errorToJson(refusal, undefined)));
  }
  return true;
}

function end(response: NodeResponse, status: number, headers: Headers, body: string): void {
  const head = Object.fromEntries(headers);
  if ("stream" in response) response.writeHead(status, head).end(body);
  else response.writeHead(status, head).end(body);
}
