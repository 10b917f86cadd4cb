/** A failure before the first byte, in the envelope of its surface: surfaces.md 2.7. */
import type { Call } from "../core/call.ts";
import type { GatewayError } from "../core/error.ts";
import { type NodeResponse, sendJson } from "./exchange.ts";
import { callHeaders, errorHeaders } from "./reply-headers.ts";
import type { Surface } from "./surface.ts";

export function sendError(
  response: NodeResponse,
  surface: Surface,
  error: GatewayError,
  ids: Pick<Call, "requestId" | "clientRequestId">,
): void {
  const headers = { ...callHeaders(ids, surface), ...errorHeaders(error) };
  sendJson(response, error.status, headers, JSON.stringify(surface.writeError(error, { requestId: ids.requestId })));
}

/** The same failure with field paths in the words of the client's dialect. */
export function inWordsOf(error: GatewayError, clientPath: (path: string) => string): GatewayError {
  const areContractPaths = error.reason === "untranslatable" || error.details.contractPaths === true;
  if (!areContractPaths || error.details.fields === undefined) return error;
  let { message } = error;
  const fields = error.details.fields.map(({ field, description }) => {
    const named = clientPath(field);
    message = message.replace(field, named);
    return { field: named, description };
  });
  return error.withFields(fields, message);
}
