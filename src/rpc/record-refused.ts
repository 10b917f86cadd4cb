/** Calls that a known caller may not make, or not now: the request log has them too. */
import type { Operation } from "../core/call.ts";
import type { CallStarter } from "../core/incoming.ts";
import type { RequestLog } from "../core/request-log.ts";
import { type OnRefused, sentBodyKey } from "./gate.ts";

export interface RecordRefusedOptions {
  readonly starter: CallStarter;
  readonly requestLog: RequestLog;
}

export function recordRefused(operation: Operation, { starter, requestLog }: RecordRefusedOptions): OnRefused {
  return async (principal, error, { requestHeader, signal, service, method, values }) => {
    try {
      const header = (name: string) => requestHeader.get(name) ?? undefined;
      const path = `/${service.typeName}/${method.name}`;
      const { call, end } = starter.start({
        operation,
        surface: "rpc",
        dialect: "dragoman",
        path,
        principal,
        clientSignal: signal,
        sent: values.get(sentBodyKey),
        header,
      });
      call.span?.end("", call.attempts, error);
      end();
      requestLog.refused(call, "", error);
    } catch {
      // The headers that say whose call it is are wrong too.
    }
  };
}
