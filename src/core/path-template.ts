/** Which endpoint an exchange turned out to be: told by whoever matched it, read by whoever counts. */
import type { NodeRequest } from "./node-handler.ts";

/** On the request itself: a weak map with an entry for each request costs more to fill, and the collector more to go through. */
const template = Symbol("path template");

type Templated = NodeRequest & { [template]?: string };

/** `declared` is what the program declares, as in `/v1/responses/{id}`; never the path that a client sent. */
export function setPathTemplate(request: NodeRequest, declared: string): void {
  (request as Templated)[template] = declared;
}

/** Undefined where nothing matched. */
export function pathTemplateOf(request: NodeRequest): string | undefined {
  return (request as Templated)[template];
}
