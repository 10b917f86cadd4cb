/** Which endpoint an exchange turned out to be: told by whoever matched it, read by whoever counts. */
import type { NodeRequest } from "./node-handler.ts";

const templates = new WeakMap<object, string>();

/** `template` is what the program declares, as in `/v1/responses/{id}`; never the path that a client sent. */
export function setPathTemplate(request: NodeRequest, template: string): void {
  templates.set(request, template);
}

/** Undefined where nothing matched. */
export function pathTemplateOf(request: NodeRequest): string | undefined {
  return templates.get(request);
}
