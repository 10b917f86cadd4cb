/** What HTTP/1.1 clients are told when their bytes are no request. */
import type { Duplex } from "node:stream";
import { GatewayError } from "../core/error.ts";
import { writeRawError } from "./plain-error.ts";

/** Node's parser errors carry these beside the message. */
interface ParserError extends Error {
  readonly code?: string;
  readonly rawPacket?: Buffer;
  /** How much of the packet the parser had taken. */
  readonly bytesParsed?: number;
}

/** Answers and closes. `answering` says that an answer is already on the wire: then nothing more can be said. */
export function answerClientError(error: ParserError, socket: Duplex, answering: boolean): void {
  if (answering || !socket.writable || error.code === "ECONNRESET") {
    socket.destroy();
    return;
  }
  socket.end(writeRawError(refusalOf(error)), () => socket.destroy());
}

function refusalOf(error: ParserError): GatewayError {
  switch (error.code) {
    case "HPE_HEADER_OVERFLOW":
      // Not one line was complete: it is the URL that is too long.
      return error.rawPacket?.subarray(0, error.bytesParsed).includes("\n") === false
        ? refuse(414, "the URL is too long")
        : refuse(431, "the request's headers are too large");
    case "HPE_CHUNK_EXTENSIONS_OVERFLOW":
      return new GatewayError("too_large", "the chunk extensions are too large");
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return refuse(408, "the request did not arrive in time");
    default:
      return refuse(400, "this is not a correct HTTP request");
  }
}

function refuse(status: number, message: string): GatewayError {
  return new GatewayError("invalid_request", message, { status });
}
