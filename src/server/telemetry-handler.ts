/** /metrics and /statsz (surfaces.md 8, N20 and N21): read by anyone who reaches the port; they hold no secret. */
import { GatewayError } from "../core/error.ts";
import type { Exposition } from "../core/exposition.ts";
import type { Logger } from "../core/log.ts";
import type { NodeRequest, NodeResponse } from "../core/node-handler.ts";
import { setPathTemplate } from "../core/path-template.ts";
import { sendRefusal } from "./guard.ts";

/** True where the request was one of these and is being answered. */
export type TelemetryHandler = (request: NodeRequest, response: NodeResponse) => boolean;

const metricsPath = "/metrics";
const statsPath = "/statsz";
const textFormat = "text/plain; version=0.0.4; charset=utf-8";

export function createTelemetryHandler(exposition: Exposition, log: Logger): TelemetryHandler {
  return (request, response) => {
    const [path] = (request.url ?? "").split("?", 1);
    if (path !== metricsPath && path !== statsPath) return false;
    setPathTemplate(request, path);
    if (request.method !== "GET" && request.method !== "HEAD") {
      const headers = { allow: "GET, HEAD" };
      sendRefusal(request, response, new GatewayError("invalid_request", `${path} is read with GET`, { status: 405, headers }));
    } else void answer(path, request, response);
    return true;
  };

  async function answer(path: string, request: NodeRequest, response: NodeResponse): Promise<void> {
    try {
      if (path === metricsPath) send(request, response, textFormat, await exposition.metrics());
      else send(request, response, "application/json", JSON.stringify(await exposition.stats()));
    } catch (thrown) {
      log.error("telemetry could not be shown", { path, error: thrown });
      sendRefusal(request, response, GatewayError.from(thrown));
    }
  }
}

function send(request: NodeRequest, response: NodeResponse, type: string, text: string): void {
  const head = { "content-type": type, "content-length": Buffer.byteLength(text), "cache-control": "no-store" };
  const body = request.method === "HEAD" ? "" : text;
  if ("stream" in response) response.writeHead(200, head).end(body);
  else response.writeHead(200, head).end(body);
}
