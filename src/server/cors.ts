/** Cross-origin access for the browser pages that the operator names (surfaces.md 2.3, reliability.md 2.6). Off without origins. */
import { cors } from "@connectrpc/connect";
import { GatewayError } from "../core/error.ts";
import type { NodeRequest, NodeResponse } from "../core/node-handler.ts";
import { sendRefusal } from "./guard.ts";

export interface CorsOptions {
  /** Exact origins: scheme, host and port, as browsers send them. */
  readonly origins: readonly string[];
  /** The `x-dragoman-*` headers that clients may send. */
  readonly inboundHeaders: readonly string[];
}

/** Sets the headers of a cross-origin answer. True where the request was a preflight and has been answered. */
export type Cors = (request: NodeRequest, response: NodeResponse) => boolean;

/** Headers that SDKs send beside the protocols' own; vendor names as in surfaces.md 2.3. */
const requestHeaders = [
  ...[
    "accept",
    "authorization",
    "content-type",
    "last-event-id",
    "traceparent",
    "tracestate",
    "user-agent",
    "x-request-id",
    "idempotency-key",
  ],
  ...["x-api-key", "x-goog-api-key", "api-key", "x-dragoman-api-key", "x-dragoman-cache-control"],
  ...["openai-organization", "openai-project", "openai-beta", "anthropic-version", "anthropic-beta", "x-goog-api-client"],
  ...["anthropic-dangerous-direct-browser-access", "anthropic-workspace-id", "anthropic-user-profile-id"],
  ...["x-goog-user-project", "x-server-timeout", "x-grpc-web", "x-user-agent", "grpc-timeout"],
  ...[
    ...["arch", "lang", "os", "package-version", "retry-count", "runtime", "runtime-version", "timeout"],
    ...["helper", "helper-method", "poll-helper", "custom-poll-interval"],
  ].map((n) => `x-stainless-${n}`),
  ...[
    "request-id",
    "user-id",
    "policy-key",
    "plan-id",
    "feature-key",
    "cohort-key",
    "region",
    "locale",
    "country",
    "platform",
    "trial-status",
  ].map((n) => `x-kagu-${n}`),
  ...["agent", "session-id", "retention", "env", "api-key"].map((n) => `x-kurral-${n}`),
  ...["external-request-id", "workspace-id", "xnamespace-id", "source-service", "operation"].map((n) => `x-agumbe-${n}`),
  "x-nenya-cache-force-refresh",
];

/** Browsers take `*` in this list only without credentials, and not in every version: so by name. */
const answerHeaders = [
  ...["request-id", "error-reason", "translation", "provider", "node", "used-fallback", "cache-hit", "cache-status", "cascade-step"],
  ...["action", "rollout-state", "cost-usd", "buffered", "usage-basis"],
].map((name) => `x-dragoman-${name}`);

const otherAnswerHeaders = [
  ...["x-request-id", "request-id", "idempotent-replayed", "retry-after", "retry-after-ms", "x-should-retry", "server-timing"],
  ...["limit", "remaining", "reset"].flatMap((name) => [`x-ratelimit-${name}-requests`, `x-ratelimit-${name}-tokens`]),
];

const preflightSeconds = 600;

export function createCors({ origins, inboundHeaders }: CorsOptions): Cors {
  const known = new Set(origins);
  const allowedHeaders = list([...cors.allowedHeaders, ...requestHeaders, ...inboundHeaders]);
  // Connect sends the trailers of a unary call as headers.
  const exposed = [...cors.exposedHeaders, ...answerHeaders, ...otherAnswerHeaders, "trailer-x-dragoman-translation"];
  const exposedHeaders = list(exposed);
  // Stored answers can be deleted.
  const allowedMethods = list([...cors.allowedMethods, "HEAD", "DELETE"], (name) => name.toUpperCase());

  return (request, response) => {
    const { origin } = request.headers;
    if (known.size === 0 || origin === undefined) return false;
    response.setHeader("vary", "origin");
    const isPreflight = request.method === "OPTIONS" && request.headers["access-control-request-method"] !== undefined;
    if (!known.has(origin)) {
      if (isPreflight) sendRefusal(request, response, new GatewayError("forbidden", "this origin is not allowed here"));
      return isPreflight;
    }
    response.setHeader("access-control-allow-origin", origin);
    if (!isPreflight) {
      response.setHeader("access-control-expose-headers", exposedHeaders);
      return false;
    }
    const head = {
      "access-control-allow-methods": allowedMethods,
      "access-control-allow-headers": allowedHeaders,
      "access-control-max-age": String(preflightSeconds),
    };
    if ("stream" in response) response.writeHead(204, head).end();
    else response.writeHead(204, head).end();
    return true;
  };
}

function list(names: readonly string[], write: (name: string) => string = (name) => name.toLowerCase()): string {
  return [...new Set(names.map(write))].join(", ");
}
