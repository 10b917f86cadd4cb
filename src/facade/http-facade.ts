/**
 * The HTTP surfaces over the pipeline. Thin: they mount dialects on paths, name headers, render errors (surfaces.md 2 and
 * 3); policy, routing, limits and accounting are the pipeline's. What is mounted stands in endpoints.ts.
 */
import { requireEndpoint, requireRule } from "../core/access.ts";
import { hashSentBody } from "../core/body-hash.ts";
import { readCredential } from "../core/credential.ts";
import { GatewayError } from "../core/error.ts";
import type { NodeHandler } from "../core/node-handler.ts";
import { setPathTemplate } from "../core/path-template.ts";
import { RequestPeer } from "../core/peer.ts";
import { type FacadeOptions, ruleOf } from "./endpoint.ts";
import { createEndpoints } from "./endpoints.ts";
import { headerOf, type NodeRequest, type NodeResponse, signalOf, splitUrl } from "./exchange.ts";
import { createPathMatcher, type MatchPath } from "./match-path.ts";
import { type Refusal, recordRefusal } from "./record-refusal.ts";
import { sendError } from "./send-error.ts";
import { surfaceOf } from "./surface.ts";

/** Answers every request it gets, unknown paths with 404. */
export function createHttpFacade(options: FacadeOptions): NodeHandler {
  const match = createPathMatcher(createEndpoints(options.link));
  return (request, response) => {
    void answer(request as NodeRequest, response as NodeResponse, match, options);
  };
}

async function answer(request: NodeRequest, response: NodeResponse, match: MatchPath, options: FacadeOptions): Promise<void> {
  const clientSignal = signalOf(response);
  const { path, query: rawQuery } = splitUrl(request);
  const surface = surfaceOf(request, path);
  const sent = options.hashBodies === true ? hashSentBody(response) : undefined;
  let known: Refusal["known"];
  try {
    const { endpoint, params } = match(request.method ?? "", path);
    setPathTemplate(request, endpoint.path);
    const query = new URLSearchParams(rawQuery);
    // Google's clients may put the key into the query, where no header has one.
    const credential = readCredential((name) => headerOf(request, name)) ?? query.get("key") ?? undefined;
    query.delete("key");
    const peer = new RequestPeer(request);
    const principal = await options.access.authenticate(credential, peer);
    known = { principal, endpoint };
    requireEndpoint(principal, [`${endpoint.method} ${path}`, `${endpoint.method} ${endpoint.path}`]);
    requireRule(principal, ruleOf(endpoint));
    await options.pace?.check(principal, peer);
    const overloaded = endpoint.runs === undefined ? undefined : options.overload?.refusal();
    if (overloaded !== undefined) throw overloaded;
    await endpoint.answer({ request, response, clientSignal, surface, principal, params, query, sent, options });
  } catch (thrown) {
    const error = GatewayError.from(thrown);
    options.metrics?.refused(error);
    if (error.reason === "internal") options.log.error("the facade failed", { path, error });
    sendError(response, surface, error, recordRefusal({ request, clientSignal, surface, sent, options, known }, error));
  }
}
