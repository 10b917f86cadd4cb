/**
 * The /v1 surface: OpenAI's HTTP API over the pipeline. Thin: it mounts dialects on paths, names headers, renders errors
 * (surfaces.md 3); policy, routing, limits and accounting are the pipeline's.
 */
import { readCredential } from "../core/credential.ts";
import { GatewayError } from "../core/error.ts";
import { ulid } from "../core/id.ts";
import type { NodeHandler } from "../core/node-handler.ts";
import { answerChatCompletion } from "./chat-completions.ts";
import { answerEmbeddings } from "./embeddings.ts";
import type { Endpoint, V1Options } from "./endpoint.ts";
import { headerOf, type NodeRequest, type NodeResponse, signalOf, splitUrl } from "./exchange.ts";
import { answerModel, answerModelList } from "./models.ts";
import { callHeaders } from "./reply-headers.ts";
import { sendError } from "./send-error.ts";

const endpoints: readonly Endpoint[] = [
  { method: "POST", path: "/v1/chat/completions", answer: answerChatCompletion },
  { method: "POST", path: "/v1/embeddings", answer: answerEmbeddings },
  { method: "GET", path: "/v1/models", answer: answerModelList },
  { method: "GET", path: "/v1/models/", answer: answerModel },
];

/** Answers every request it gets, unknown paths with 404. */
export function createV1Surface(options: V1Options): NodeHandler {
  return (request, response) => {
    void answer(request as NodeRequest, response as NodeResponse, options);
  };
}

async function answer(request: NodeRequest, response: NodeResponse, options: V1Options): Promise<void> {
  const clientSignal = signalOf(response);
  try {
    const { endpoint, rest } = find(request);
    const authenticate = () => options.access.authenticate(credentialOf(request));
    await endpoint.answer({ request, response, clientSignal, rest, options, authenticate });
  } catch (thrown) {
    const error = GatewayError.from(thrown);
    if (error.reason === "internal") options.log.error("the facade failed", { path: splitUrl(request).path, error });
    const requestId = ulid(options.clock.wall());
    const clientRequestId = headerOf(request, "x-request-id");
    const known = clientRequestId !== undefined && /^[\x21-\x7e]{1,128}$/.test(clientRequestId) ? clientRequestId : requestId;
    sendError(response, error, callHeaders({ requestId, clientRequestId: known }));
  }
}

/** Google's clients may put the key into the query, where no header has one. */
function credentialOf(request: NodeRequest): string | undefined {
  const { query } = splitUrl(request);
  const inQuery = query === "" ? null : new URLSearchParams(query).get("key");
  return readCredential((name) => headerOf(request, name)) ?? inQuery ?? undefined;
}

function find(request: NodeRequest): { endpoint: Endpoint; rest: string } {
  const { path } = splitUrl(request);
  const here = endpoints.filter((endpoint) => path === endpoint.path || (endpoint.path.endsWith("/") && path.startsWith(endpoint.path)));
  const endpoint = here.find(({ method }) => method === request.method || (method === "GET" && request.method === "HEAD"));
  if (endpoint !== undefined) return { endpoint, rest: decode(path.slice(endpoint.path.length)) };
  if (here.length === 0) throw new GatewayError("route_not_found", `there is nothing at ${request.method} ${path.slice(0, 256)}`);
  const allow = here.flatMap(({ method }) => (method === "GET" ? ["GET", "HEAD"] : [method])).join(", ");
  throw new GatewayError("invalid_request", `${request.method} is not allowed here; allowed: ${allow}`, {
    status: 405,
    headers: { allow },
  });
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new GatewayError("invalid_request", "the path is not correctly percent-encoded");
  }
}
