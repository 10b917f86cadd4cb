/** Calls without the client's own request: every answer is then written from events, whatever format the upstream speaks. */
import type { Stage } from "./stage.ts";

export function withoutWire<Request, Reply>(): Stage<Request, Reply> {
  return (next) => (request, call) => next(request, call.wire === undefined ? call : { ...call, wire: undefined });
}
