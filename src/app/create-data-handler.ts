import { isLoopback } from "../config/listen-address.ts";
import type { Config } from "../config/schema.ts";
import type { Exposition } from "../core/exposition.ts";
import type { NodeHandler } from "../core/node-handler.ts";
import type { FacadeOptions } from "../facade/endpoint.ts";
import { createHttpFacade } from "../facade/http-facade.ts";
import { inboundHeaders } from "../pipeline/call-starter.ts";
import { createRpcHandler, type RpcOptions } from "../rpc/rpc-handler.ts";
import { createCors } from "../server/cors.ts";
import { createHealthHandler } from "../server/health-handler.ts";
import { createTelemetryHandler } from "../server/telemetry-handler.ts";

export interface DataParts
  extends Omit<RpcOptions, "fallback">,
    Pick<
      FacadeOptions,
      "operations" | "access" | "starter" | "responses" | "link" | "clock" | "log" | "metrics" | "requestLog" | "overload"
    > {
  readonly exposition: Exposition | undefined;
}

/** The data port: preflights, health, what the gateway shows of itself, then the RPCs, and the HTTP surfaces for the rest. */
export function createDataHandler(config: Config, parts: DataParts): NodeHandler {
  const { health, exposition, limits, requestLog, log } = parts;
  const hashBodies = requestLog !== undefined;
  const facade = createHttpFacade({
    ...parts,
    hashBodies,
    body: { maxBytes: config.server.max_body_bytes, json: limits.json },
    defaultStream: config.facade.default_stream,
  });
  const rpc = createRpcHandler({ ...parts, hashBodies, fallback: facade });
  const cors = createCors({ origins: config.server.cors.origins, inboundHeaders });
  const answerHealth = createHealthHandler({ health });
  const answerTelemetry = exposition === undefined || !showsTelemetry(config) ? undefined : createTelemetryHandler(exposition, log);
  return (request, response) => {
    if (!cors(request, response) && !answerHealth(request, response) && !answerTelemetry?.(request, response)) rpc(request, response);
  };
}

/** Whether the data port shows /metrics and /statsz: to this machine, and to others where the operator wants it (surfaces.md 8). */
function showsTelemetry({ server, telemetry }: Config): boolean {
  return telemetry.public || isLoopback(server.listen.host);
}
