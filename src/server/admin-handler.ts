/** The admin port: /healthz, /readyz, /metrics, /statsz, the admin services, gRPC health and reflection. */
import { GatewayError } from "../core/error.ts";
import type { Exposition } from "../core/exposition.ts";
import type { NodeHandler } from "../core/node-handler.ts";
import { type AdminRpcOptions, createAdminRpcHandler } from "../rpc/rpc-handler.ts";
import { sendRefusal } from "./guard.ts";
import { createHealthHandler, type ReadinessFacts } from "./health-handler.ts";
import { createTelemetryHandler } from "./telemetry-handler.ts";

export interface AdminHandlerOptions extends Omit<AdminRpcOptions, "fallback"> {
  readonly readiness: () => ReadinessFacts;
  /** Absent: nothing is counted, so nothing is shown. */
  readonly exposition?: Exposition | undefined;
}

export function createAdminHandler(options: AdminHandlerOptions): NodeHandler {
  const answerHealth = createHealthHandler(options);
  const answerTelemetry = options.exposition === undefined ? undefined : createTelemetryHandler(options.exposition, options.log);
  const rpc = createAdminRpcHandler({
    ...options,
    fallback: (request, response) => {
      const [path = ""] = (request.url ?? "").split("?", 1);
      sendRefusal(request, response, new GatewayError("route_not_found", `there is nothing at ${path.slice(0, 256)}`));
    },
  });
  return (request, response) => {
    if (!answerHealth(request, response) && !answerTelemetry?.(request, response)) rpc(request, response);
  };
}
