/** Admin services without a port: for commands on the machine that holds the records, as its operator. */
import type { DescService } from "@bufbuild/protobuf";
import { createRouterTransport, type Interceptor, type ServiceImpl, type Transport } from "@connectrpc/connect";
import { GatewayError } from "../../core/error.ts";
import { createPrincipal } from "../../core/principal.ts";
import { idsWithoutCall } from "../call-ids.ts";
import { toConnectError } from "../connect-error.ts";
import { AdminCall, adminCallKey } from "./admin-call.ts";
import type { AdminService } from "./admin-service.ts";

/** Whoever may read the database may see all of it. */
const operator = createPrincipal({ id: "cli", kind: "anonymous", scopes: new Set(["*"]), roles: new Set(["admin"]) });

/** Nothing is written into the audit log: mount services for what only reads. */
export function createLocalTransport(services: readonly AdminService[]): Transport {
  return createRouterTransport(
    (router) => {
      for (const { service, implementation } of services) router.service(service, implementation as Partial<ServiceImpl<DescService>>);
    },
    { router: { interceptors: [asOperator] } },
  );
}

const asOperator: Interceptor = (next) => async (request) => {
  const ids = idsWithoutCall(null);
  request.contextValues.set(adminCallKey, new AdminCall(operator, ids.requestId));
  try {
    return await next(request);
  } catch (thrown) {
    throw thrown instanceof GatewayError ? toConnectError(thrown, ids) : thrown;
  }
};
