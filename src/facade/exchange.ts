/** One HTTP request and its answer, as the surfaces see it; HTTP/1.1 and HTTP/2 alike. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { endInPieces } from "./pump.ts";

/** Node's HTTP/2 compatibility API answers to the same calls as HTTP/1.1's, so the surfaces know one type. */
export type NodeRequest = IncomingMessage;
export type NodeResponse = ServerResponse;

/** A request header's value; several of one name are joined by a comma, as RFC 9110 section 5.3 has it. */
export function headerOf(request: NodeRequest, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(", ") : value;
}

/** The path without the query, and the query. */
export function splitUrl(request: NodeRequest): { path: string; query: string } {
  const url = request.url ?? "/";
  const mark = url.indexOf("?");
  return mark === -1 ? { path: url, query: "" } : { path: url.slice(0, mark), query: url.slice(mark + 1) };
}

/** Aborted when the client goes away before the answer is complete. */
export function signalOf(response: NodeResponse): AbortSignal {
  const gone = new AbortController();
  response.once("close", () => {
    if (!response.writableFinished) gone.abort();
  });
  return gone.signal;
}

/** Sends a whole answer: JSON text, or its bytes in order. Does nothing where the client has left or something was sent already. */
export function sendJson(
  response: NodeResponse,
  status: number,
  headers: Readonly<Record<string, string>>,
  body: string | Uint8Array | readonly Uint8Array[],
): void {
  if (response.headersSent || response.destroyed) return;
  const pieces = typeof body === "string" || body instanceof Uint8Array ? [body] : body;
  const length = pieces.reduce((sum, piece) => sum + Buffer.byteLength(piece), 0);
  response.writeHead(status, { ...headers, "content-type": "application/json", "content-length": String(length) });
  endInPieces(response, pieces);
}
