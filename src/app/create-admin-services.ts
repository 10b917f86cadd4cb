import { AgentService } from "../../gen/dragoman/admin/v1/agent_service_pb.ts";
import { AuditService } from "../../gen/dragoman/admin/v1/audit_service_pb.ts";
import { KeyService } from "../../gen/dragoman/admin/v1/key_service_pb.ts";
import { LimitService } from "../../gen/dragoman/admin/v1/limit_service_pb.ts";
import { PriceService } from "../../gen/dragoman/admin/v1/price_service_pb.ts";
import { RequestLogService } from "../../gen/dragoman/admin/v1/request_log_service_pb.ts";
import { TenantService } from "../../gen/dragoman/admin/v1/tenant_service_pb.ts";
import { UsageService } from "../../gen/dragoman/admin/v1/usage_service_pb.ts";
import type { OpenedAccess } from "../access/open-access.ts";
import { systemClock } from "../core/clock.ts";
import type { LimitDesk } from "../core/limits.ts";
import type { Router } from "../core/routing.ts";
import type { Stores } from "../core/stores.ts";
import { targetsOf } from "../pipeline/price-models.ts";
import type { RunningRequestLog } from "../request-log/request-log.ts";
import { type AdminService, adminService } from "../rpc/admin/admin-service.ts";
import { createAgentService } from "../rpc/admin/agent-service.ts";
import { createAuditService } from "../rpc/admin/audit-service.ts";
import { createKeyService } from "../rpc/admin/key-service.ts";
import { createLimitService } from "../rpc/admin/limit-service.ts";
import { createPriceService } from "../rpc/admin/price-service.ts";
import { createRequestLogService } from "../rpc/admin/request-log-service.ts";
import { createTenantService } from "../rpc/admin/tenant-service.ts";
import { createUsageService } from "../rpc/admin/usage-service.ts";
import type { OpenedPrices } from "./open-prices.ts";

export interface AdminParts {
  readonly stores: Stores;
  readonly people: OpenedAccess;
  readonly limits: LimitDesk;
  readonly prices: OpenedPrices;
  readonly router: Router;
  readonly requestLog: RunningRequestLog | undefined;
  /** Ends what is watched. */
  readonly stopping: AbortSignal;
}

/** Every service of the admin port, a line each; src/rpc/admin/admin-service.ts tells how to add one. */
export function createAdminServices({ stores, people, limits, prices, router, requestLog, stopping }: AdminParts): readonly AdminService[] {
  const { administration, forgetTenant } = people;
  const clock = systemClock;
  const onWritten = (listener: () => void) => requestLog?.onWritten(listener) ?? (() => {});
  const targets = () => router.models().flatMap(targetsOf);
  return [
    adminService(KeyService, createKeyService({ ...stores, administration })),
    adminService(TenantService, createTenantService({ ...stores, clock: systemClock, onChange: forgetTenant })),
    adminService(AuditService, createAuditService(stores.audit)),
    adminService(LimitService, createLimitService({ ...stores, desk: limits })),
    adminService(RequestLogService, createRequestLogService({ ...stores, clock, stopping, onWritten })),
    adminService(UsageService, createUsageService({ ...stores, stopping })),
    adminService(AgentService, createAgentService({ ...stores, clock })),
    adminService(PriceService, createPriceService({ ...stores, book: prices.book, clock, targets, onChange: prices.refresh })),
  ];
}
