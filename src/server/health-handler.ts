/** /healthz and /readyz (surfaces.md 8, N19 and C6). */
import { GatewayError } from "../core/error.ts";
import type { NodeRequest, NodeResponse } from "../core/node-handler.ts";
import { setPathTemplate } from "../core/path-template.ts";
import type { HealthTable } from "../rpc/health-table.ts";
import { sendRefusal } from "./guard.ts";

/** What the process can do now, besides running. */
export interface ReadinessFacts {
  /** What is away while the gateway still answers: names of stores, `targets` where no target is usable. */
  readonly away: readonly string[];
  /** What is configured and cannot be enforced: the gateway must get no traffic. */
  readonly unenforceable: readonly string[];
}

export interface HealthHandlerOptions {
  readonly health: HealthTable;
  /** Absent on ports that do not tell readiness. */
  readonly readiness?: (() => ReadinessFacts) | undefined;
}

/** True where the request was one of these and has been answered. */
export type HealthHandler = (request: NodeRequest, response: NodeResponse) => boolean;

export function createHealthHandler({ health, readiness }: HealthHandlerOptions): HealthHandler {
  return (request, response) => {
    const [path = ""] = (request.url ?? "").split("?", 1);
    const isHealth = path === "/healthz";
    if (!isHealth && (path !== "/readyz" || readiness === undefined)) return false;
    setPathTemplate(request, path);
    if (request.method !== "GET" && request.method !== "HEAD") {
      const headers = { allow: "GET, HEAD" };
      sendRefusal(request, response, new GatewayError("invalid_request", `${path} is read with GET`, { status: 405, headers }));
    } else if (isHealth || readiness === undefined) {
      const asJson = (request.headers.accept ?? "").includes("application/json");
      if (asJson) send(request, response, 200, "application/json", '{"status":"ok"}');
      else send(request, response, 200, "text/plain; charset=utf-8", "OK");
    } else {
      const { status, body } = describe(health.draining, readiness());
      send(request, response, status, "application/json", JSON.stringify(body));
    }
    return true;
  };
}

function describe(draining: boolean, { away, unenforceable }: ReadinessFacts): { status: number; body: object } {
  if (draining) return { status: 503, body: { status: "draining" } };
  if (unenforceable.length > 0) return { status: 503, body: { status: "unready", unenforceable } };
  if (away.length > 0) return { status: 200, body: { status: "degraded", away } };
  return { status: 200, body: { status: "ready" } };
}

function send(request: NodeRequest, response: NodeResponse, status: number, type: string, text: string): void {
  const head = { "content-type": type, "content-length": Buffer.byteLength(text), "cache-control": "no-store" };
  const body = request.method === "HEAD" ? "" : text;
  if ("stream" in response) response.writeHead(status, head).end(body);
  else response.writeHead(status, head).end(body);
}
