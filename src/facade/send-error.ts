/** A failure as the /v1 surface renders it: surfaces.md C13 and 2.7. */
import { writeChatError } from "../codecs/openai-chat/index.ts";
import type { GatewayError } from "../core/error.ts";
import { type NodeResponse, sendJson } from "./exchange.ts";
import { errorHeaders, type HeaderMap } from "./reply-headers.ts";

export function sendError(response: NodeResponse, error: GatewayError, headers: HeaderMap): void {
  sendJson(response, error.status, { ...headers, ...errorHeaders(error) }, JSON.stringify(writeChatError(error)));
}

/** The same failure with field paths in the words of the client's dialect. */
export function inWordsOf(error: GatewayError, clientPath: (path: string) => string): GatewayError {
  if (error.reason !== "untranslatable" || error.details.fields === undefined) return error;
  let { message } = error;
  const fields = error.details.fields.map(({ field, description }) => {
    const named = clientPath(field);
    message = message.replace(field, named);
    return { field: named, description };
  });
  return error.withFields(fields, message);
}
