/** The admin port: /healthz, /readyz, the admin services, gRPC health and reflection. */
import { GatewayError } from "../core/error.ts";
import type { NodeHandler } from "../core/node-handler.ts";
import { type AdminRpcOptions, createAdminRpcHandler } from "../rpc/rpc-handler.ts";
import { sendRefusal } from "./guard.ts";
import { createHealthHandler, type ReadinessFacts } from "./health-handler.ts";

export interface AdminHandlerOptions extends Omit<AdminRpcOptions, "fallback"> {
  readonly readiness: () => ReadinessFacts;
}

export function createAdminHandler(options: AdminHandlerOptions): NodeHandler {
  const answerHealth = createHealthHandler(options);
  const rpc = createAdminRpcHandler({
    ...options,
    fallback: (request, response) => {
      const [path = ""] = (request.url ?? "").split("?", 1);
      sendRefusal(request, response, new GatewayError("route_not_found", `there is nothing at ${path.slice(0, 256)}`));
    },
  });
  return (request, response) => {
    if (!answerHealth(request, response)) rpc(request, response);
  };
}
