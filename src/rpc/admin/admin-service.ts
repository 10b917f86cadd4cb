/**
 * An admin service as it is plugged in. To add one:
 *
 * 1. proto/dragoman/admin/v1/thing_service.proto; every RPC has `option (dragoman.v1.auth)` with plane ACCESS_PLANE_ADMIN;
 *    what only reads also has `idempotency_level = NO_SIDE_EFFECTS`: every other RPC is written into the audit log.
 * 2. src/rpc/admin/thing-service.ts: `createThingService(options): ServiceImpl<typeof ThingService>`. Its methods take
 *    `(request, context)`, get `const call = adminCallOf(context)`, ask `call.tenant(request.tenant)` for the tenant to work
 *    on, and say `call.about({ kind: "thing", id })` before they change anything. Requests are validated already; any
 *    GatewayError may be thrown. Pages: page.ts; update_mask: update-mask.ts.
 * 3. src/app/create-admin-services.ts: `adminService(ThingService, createThingService(...))` in the list.
 */
import type { DescService } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";

export interface AdminService {
  readonly service: DescService;
  readonly implementation: Readonly<Record<string, unknown>>;
}

export function adminService<Desc extends DescService>(service: Desc, implementation: ServiceImpl<Desc>): AdminService {
  return { service, implementation };
}
