/** The two ids of a call: the gateway's own, unique, and the one the client sent, which is only echoed. */
import { ulid } from "../core/id.ts";

export interface CallIds {
  readonly requestId: string;
  readonly clientRequestId: string;
}

/** Ids of a request that failed before it became a call. */
export function idsWithoutCall(sent: string | null | undefined): CallIds {
  const requestId = ulid();
  return { requestId, clientRequestId: sent != null && /^[\x21-\x7e]{1,128}$/.test(sent) ? sent : requestId };
}

export function writeIds(headers: Headers, { requestId, clientRequestId }: CallIds): void {
  headers.set("x-request-id", clientRequestId);
  headers.set("x-dragoman-request-id", requestId);
}
