/** Which endpoint a request means. */
import { GatewayError } from "../core/error.ts";
import type { Endpoint } from "./endpoint.ts";

export interface MatchedEndpoint {
  readonly endpoint: Endpoint;
  readonly params: Readonly<Record<string, string>>;
}

/** Throws GatewayError: route_not_found, or invalid_request with status 405 and `allow`. */
export type MatchPath = (method: string, path: string) => MatchedEndpoint;

/** Of several endpoints that match, the first counts. */
export function createPathMatcher(endpoints: readonly Endpoint[]): MatchPath {
  const fixed = new Map<string, Endpoint[]>();
  const patterns: { readonly pattern: RegExp; readonly endpoint: Endpoint }[] = [];
  for (const endpoint of endpoints) {
    if (endpoint.path.includes("{")) patterns.push({ pattern: compile(endpoint.path), endpoint });
    else fixed.set(endpoint.path, [...(fixed.get(endpoint.path) ?? []), endpoint]);
  }

  return (method, path) => {
    const allowed = new Set<string>();
    for (const endpoint of fixed.get(path) ?? []) {
      if (answers(endpoint, method)) return { endpoint, params: {} };
      allowed.add(endpoint.method);
    }
    for (const { pattern, endpoint } of patterns) {
      const found = pattern.exec(path);
      if (found === null) continue;
      if (answers(endpoint, method)) return { endpoint, params: decodeAll(found.groups ?? {}) };
      allowed.add(endpoint.method);
    }
    if (allowed.size === 0) throw new GatewayError("route_not_found", `there is nothing at ${method} ${path.slice(0, 256)}`);
    const allow = [...allowed].flatMap((name) => (name === "GET" ? ["GET", "HEAD"] : [name])).join(", ");
    throw new GatewayError("invalid_request", `${method} is not allowed here; allowed: ${allow}`, { status: 405, headers: { allow } });
  };
}

function answers(endpoint: Endpoint, method: string): boolean {
  return endpoint.method === method || (endpoint.method === "GET" && method === "HEAD");
}

function compile(path: string): RegExp {
  const source = path.replace(/[.*?^$()|[\]\\]/g, "\\$&").replace(/\{(\w+)(\+?)\}/g, (_, name: string, more: string) => {
    return more === "" ? `(?<${name}>[^/]+)` : `(?<${name}>.+)`;
  });
  return new RegExp(`^${source}$`);
}

function decodeAll(groups: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(groups).map(([name, text]) => [name, decode(text)]));
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new GatewayError("invalid_request", "the path is not correctly percent-encoded");
  }
}
