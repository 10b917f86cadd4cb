/** The gateway's own headers on every answer of the HTTP surfaces (surfaces.md 2.3, "out"). */
import type { Started } from "../../gen/dragoman/v1/generate_pb.ts";
import type { Settled } from "../../gen/dragoman/v1/usage_pb.ts";
import type { Call } from "../core/call.ts";
import type { GatewayError } from "../core/error.ts";
import { ulid } from "../core/id.ts";
import { writeDollars } from "../core/money.ts";
import { rateLimitHeaders } from "../core/rate-limit-headers.ts";
import { writeTranslationHeader } from "../core/translation-header.ts";
import { headerOf, type NodeRequest } from "./exchange.ts";
import type { Surface } from "./surface.ts";

export type HeaderMap = Record<string, string>;

export type CallIds = Pick<Call, "requestId" | "clientRequestId">;

/** The ids of an answer that no call stands behind. */
export function newIds(request: NodeRequest, wall: number): CallIds {
  const requestId = ulid(wall);
  const sent = headerOf(request, "x-request-id");
  return { requestId, clientRequestId: sent !== undefined && /^[\x21-\x7e]{1,128}$/.test(sent) ? sent : requestId };
}

/** Known as soon as there is a call; present on errors too. */
export function callHeaders({ requestId, clientRequestId }: CallIds, surface: Surface): HeaderMap {
  const headers: HeaderMap = { "x-request-id": clientRequestId, "x-dragoman-request-id": requestId };
  if (surface.requestIdHeader !== undefined) headers[surface.requestIdHeader] = requestId;
  return headers;
}

/** Known at the commit point; `now` is the monotonic clock's. */
export function servingHeaders(
  call: Call,
  surface: Surface,
  started: (Pick<Started, "provider" | "usedFallback" | "node"> & Partial<Pick<Started, "replayed">>) | undefined,
  now: number,
): HeaderMap {
  const headers = callHeaders(call, surface);
  if (started !== undefined) {
    headers["x-dragoman-provider"] = headerSafe(started.provider);
    headers["x-dragoman-node"] = headerSafe(started.node);
    headers["x-dragoman-used-fallback"] = String(started.usedFallback);
    if (started.replayed) headers["idempotent-replayed"] = "true";
  }
  headers["server-timing"] = writeServerTiming(call, now);
  const translation = writeTranslationHeader(call.translation);
  if (translation !== "") headers["x-dragoman-translation"] = translation;
  return call.limits === undefined || call.limits.length === 0 ? headers : { ...headers, ...rateLimitHeaders(call.limits) };
}

/** Of a buffered answer: what the calls behind it cost together, where that is known of each. */
export function costHeader(...calls: readonly (Settled | undefined)[]): HeaderMap {
  let sum = 0n;
  for (const settled of calls) {
    if (settled?.costNanoUsd === undefined) return {};
    sum += settled.costNanoUsd;
  }
  return { "x-dragoman-cost-usd": writeDollars(sum) };
}

/**
 * Where the time went until the answer's head, in milliseconds (https://www.w3.org/TR/server-timing/): all of it, what
 * providers took, and the rest. Of a stream that is the time to its first content.
 */
function writeServerTiming({ startedAt, attempts }: Call, now: number): string {
  const total = Math.max(0, now - startedAt);
  // An attempt that still streams has no duration yet.
  const spent = attempts.reduce((sum, { durationMs, firstContentMs = 0 }) => sum + (durationMs === 0 ? firstContentMs : durationMs), 0);
  const provider = Math.min(total, spent);
  return `total;dur=${total.toFixed(1)}, provider;dur=${provider.toFixed(1)}, gateway;dur=${(total - provider).toFixed(1)}`;
}

/** What tells a client, and the SDK it uses, how to go on after a failure. */
export function errorHeaders(error: GatewayError): HeaderMap {
  const headers: HeaderMap = {
    ...error.details.headers,
    "x-dragoman-error-reason": error.reason,
    "x-should-retry": String(error.retryable),
  };
  const { retryAfterMs } = error.details;
  if (retryAfterMs !== undefined || error.status === 429) {
    headers["retry-after"] = String(Math.max(1, Math.ceil((retryAfterMs ?? 1_000) / 1_000)));
    if (retryAfterMs !== undefined) headers["retry-after-ms"] = String(Math.max(1, Math.round(retryAfterMs)));
  }
  return headers;
}

/** Model names may be in any script; a header takes visible ASCII, so the rest is percent-encoded (RFC 3986 section 2.1). */
function headerSafe(text: string): string {
  return text.toWellFormed().replace(/[^\x21-\x7e]/gu, (character) => encodeURIComponent(character));
}
