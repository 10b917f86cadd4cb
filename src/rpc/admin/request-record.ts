/** Log records as the contract has them. */
import { create } from "@bufbuild/protobuf";
import {
  LoggedAttemptSchema,
  type RequestRecord,
  RequestRecordSchema,
  RequestStatus,
  type Session,
  SessionSchema,
  SessionStatus,
} from "../../../gen/dragoman/admin/v1/request_log_service_pb.ts";
import { type Timings, TimingsSchema } from "../../../gen/dragoman/v1/usage_pb.ts";
import { writeExactDollars } from "../../core/money.ts";
import type { RequestStatus as RecordStatus, RequestLogRecord, SessionRecord } from "../../core/request-log-store.ts";
import { writeTime } from "./timestamp.ts";

const statuses: Readonly<Record<RecordStatus, RequestStatus>> = {
  success: RequestStatus.SUCCESS,
  error: RequestStatus.ERROR,
  timeout: RequestStatus.TIMEOUT,
  cancelled: RequestStatus.CANCELLED,
  blocked: RequestStatus.BLOCKED,
};

export function readStatuses(wanted: readonly RequestStatus[]): readonly RecordStatus[] | undefined {
  if (wanted.length === 0) return undefined;
  return (Object.entries(statuses) as [RecordStatus, RequestStatus][]).flatMap(([name, status]) => (wanted.includes(status) ? [name] : []));
}

export function writeRecord(record: RequestLogRecord): RequestRecord {
  const { createdAt, user, endUser, attempts, status, latencyMs, ttftMs, timings, costNano, ...same } = record;
  return create(RequestRecordSchema, {
    ...known(same),
    createTime: writeTime(createdAt),
    userId: user,
    endUserId: endUser,
    attempts: attempts.map(({ ms, ...attempt }) => create(LoggedAttemptSchema, { ...attempt, durationMs: ms })),
    status: statuses[status],
    latencyMs,
    ...known({ ttftMs, costNanoUsd: costNano }),
    timings: writeTimings(timings),
    costUsd: costNano === undefined ? "" : writeExactDollars(costNano),
  });
}

/** Spans by name, snake_case as in the contract. */
function writeTimings(timings: RequestLogRecord["timings"]): Timings {
  const message = create(TimingsSchema);
  for (const field of TimingsSchema.fields) {
    const value = timings[field.name];
    if (value !== undefined) message[field.localName as Exclude<keyof Timings, "$typeName" | "$unknown">] = value;
  }
  return message;
}

/** A conversation that was silent for so long is over (surfaces.md U22). */
const idleMs = 30 * 60_000;

export function writeSession(session: SessionRecord, now: number): Session {
  const { id, tenant, callerAgent, environment, requests, errors, promptTokens, completionTokens, costNano, firstAt, lastAt } = session;
  return create(SessionSchema, {
    ...{ id, tenant, callerAgent, environment, promptTokens, completionTokens },
    status: sessionStatus(session, now),
    requests: BigInt(requests),
    errors: BigInt(errors),
    costNanoUsd: costNano,
    firstTime: writeTime(firstAt),
    lastTime: writeTime(lastAt),
  });
}

function sessionStatus({ lastStatus, lastAt }: SessionRecord, now: number): SessionStatus {
  if (lastStatus === "blocked") return SessionStatus.BLOCKED;
  if (lastStatus === "error" || lastStatus === "timeout") return SessionStatus.FAILED;
  return now - lastAt >= idleMs ? SessionStatus.COMPLETED : SessionStatus.RUNNING;
}

/** Without the fields that are not known. */
function known<Fields extends object>(fields: Fields): { [Name in keyof Fields]: Exclude<Fields[Name], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [Name in keyof Fields]: Exclude<Fields[Name], undefined>;
  };
}
