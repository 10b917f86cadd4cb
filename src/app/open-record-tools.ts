import type { Transport } from "@connectrpc/connect";
import { LimitService } from "../../gen/dragoman/admin/v1/limit_service_pb.ts";
import { RequestLogService } from "../../gen/dragoman/admin/v1/request_log_service_pb.ts";
import { UsageService } from "../../gen/dragoman/admin/v1/usage_service_pb.ts";
import type { Config } from "../config/schema.ts";
import { systemClock } from "../core/clock.ts";
import type { Logger } from "../core/log.ts";
import { adminService } from "../rpc/admin/admin-service.ts";
import { createLimitService } from "../rpc/admin/limit-service.ts";
import { createLocalTransport } from "../rpc/admin/local-transport.ts";
import { createRequestLogService } from "../rpc/admin/request-log-service.ts";
import { createUsageService } from "../rpc/admin/usage-service.ts";
import { Closers } from "./closers.ts";
import { openLimiter } from "./open-limiter.ts";
import { openStores } from "./open-stores.ts";

export interface RecordTools {
  /** To UsageService, RequestLogService and LimitService over the configured store. */
  readonly transport: Transport;
  close(): Promise<void>;
}

/** What gateways recorded, for commands beside them. Throws StartError where the store cannot be used. */
export function openRecordTools(config: Config, log: Logger): Promise<RecordTools> {
  return Closers.closeOnFailure(log, async (closers) => {
    const stores = closers.keep(await openStores(config, log), (it) => it.close());
    const limits = closers.keep(
      await openLimiter(config, { stores, books: { inherited: Promise.resolve() }, link: undefined, log }),
      (it) => it.close(),
    );
    const { signal: stopping } = closers.keep(new AbortController(), (it) => it.abort());
    const transport = createLocalTransport([
      adminService(LimitService, createLimitService({ ...stores, desk: limits.limiter })),
      // Other processes write the log: who watches it looks again and again.
      adminService(RequestLogService, createRequestLogService({ ...stores, clock: systemClock, stopping, onWritten: () => () => {} })),
      adminService(UsageService, createUsageService({ ...stores, stopping })),
    ]);
    return { transport, close: () => closers.close(0) };
  });
}
