/** How Node hands over one HTTP exchange; the compatibility API of http2 gives HTTP/1.1 and HTTP/2 the same shape. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";

export type NodeRequest = IncomingMessage | Http2ServerRequest;
export type NodeResponse = ServerResponse | Http2ServerResponse;
/** Answers every request it is given and never throws. */
export type NodeHandler = (request: NodeRequest, response: NodeResponse) => void;
