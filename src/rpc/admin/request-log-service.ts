/** dragoman.admin.v1.RequestLogService. */
import type { ServiceImpl } from "@connectrpc/connect";
import type { RequestFilter, RequestLogService } from "../../../gen/dragoman/admin/v1/request_log_service_pb.ts";
import type { Clock } from "../../core/clock.ts";
import { GatewayError } from "../../core/error.ts";
import type { RequestLogFilter, RequestLogStore, SessionStore } from "../../core/request-log-store.ts";
import { watchRecords } from "../../request-log/watch-records.ts";
import { type AdminCall, adminCallOf } from "./admin-call.ts";
import { readPage } from "./page.ts";
import { readStatuses, writeRecord, writeSession } from "./request-record.ts";
import { readTime } from "./timestamp.ts";

export interface RequestLogServiceOptions {
  readonly requestLog: Pick<RequestLogStore, "query" | "get">;
  readonly sessions: SessionStore;
  readonly clock: Clock;
  /** Ends what is watched: the gateway stops. */
  readonly stopping: AbortSignal;
  /** Calls its argument after this process wrote records; gives the function that ends it. */
  onWritten(listener: () => void): () => void;
}

export function createRequestLogService(options: RequestLogServiceOptions): ServiceImpl<typeof RequestLogService> {
  const { requestLog, sessions, clock, stopping, onWritten } = options;

  return {
    async listRequests({ tenant: named, filter, ...page }, context) {
      const call = adminCallOf(context);
      const { items, next = "" } = await requestLog.query(call.tenant(named), readFilter(call, filter), readPage(page));
      return { requests: items.map(writeRecord), nextPageToken: next };
    },

    async getRequest({ tenant, requestId }, context) {
      const call = adminCallOf(context);
      const found = await requestLog.get(call.tenant(tenant), requestId);
      if (found === undefined || !maySee(call, found.record.policyKey)) throw notFound("request", requestId);
      return found.content === undefined
        ? { request: writeRecord(found.record) }
        : { request: writeRecord(found.record), content: found.content };
    },

    async *watchRequests({ tenant, filter }, context) {
      const call = adminCallOf(context);
      const { from: _, until: __, ...wanted } = readFilter(call, filter);
      const signal = AbortSignal.any([context.signal, stopping]);
      for await (const record of watchRecords({
        store: requestLog,
        tenant: call.tenant(tenant),
        filter: wanted,
        clock,
        signal,
        onWritten,
      })) {
        yield { request: writeRecord(record) };
      }
    },

    async listSessions({ tenant: named, callerAgent, environment, fromTime, untilTime, ...page }, context) {
      const call = adminCallOf(context);
      const filter = {
        callerAgent: callerAgent || undefined,
        environment: environment || undefined,
        from: readTime(fromTime),
        until: readTime(untilTime),
      };
      const { items, next = "" } = await sessions.list(call.tenant(named), filter, readPage(page));
      const now = clock.wall();
      return { sessions: items.map((session) => writeSession(session, now)), nextPageToken: next };
    },

    async getSession({ tenant, id }, context) {
      const call = adminCallOf(context);
      const session = await sessions.get(call.tenant(tenant), id);
      if (session === undefined) throw notFound("session", id);
      return { session: writeSession(session, clock.wall()) };
    },
  };
}

/** Whoever is bound to an app sees what was called with its key or by its policy, whatever else they ask for. */
function readFilter({ principal }: AdminCall, filter: RequestFilter | undefined): RequestLogFilter {
  const policyKey = filter?.policyKey || undefined;
  if (principal.app !== "" && policyKey !== undefined && policyKey !== principal.app) {
    throw new GatewayError("app_mismatch", `the key ${principal.id} is bound to an app and sees no other`);
  }
  return {
    project: filter?.project || undefined,
    user: filter?.userId || undefined,
    endUser: filter?.endUserId || undefined,
    keyId: filter?.keyId || undefined,
    policyKey: principal.app || policyKey,
    callerAgent: filter?.callerAgent || undefined,
    sessionId: filter?.sessionId || undefined,
    environment: filter?.environment || undefined,
    surface: filter?.surface || undefined,
    requestKind: filter?.requestKind || undefined,
    provider: filter?.provider || undefined,
    externalRequestId: filter?.externalRequestId || undefined,
    errorCode: filter?.errorCode || undefined,
    statuses: readStatuses(filter?.statuses ?? []),
    modelSearch: filter?.model || undefined,
    from: readTime(filter?.fromTime),
    until: readTime(filter?.untilTime),
  };
}

function maySee({ principal }: AdminCall, policyKey: string): boolean {
  return principal.app === "" || principal.app === policyKey;
}

function notFound(what: string, id: string): GatewayError {
  return new GatewayError("not_found", `there is no ${what} "${id.slice(0, 64)}"`);
}
