/** What the gateway counts, said by meaning; telemetry gives it names (surfaces.md 8). Methods are cheap and never throw. */
import type { Attempt } from "../../gen/dragoman/v1/usage_pb.ts";
import type { Call } from "./call.ts";
import type { GatewayError } from "./error.ts";
import type { CallOutcome } from "./ledger.ts";

export interface Metrics {
  /** An HTTP exchange of the data port is over. `path` is a template, never what a client wrote; status 499 where the client left first. */
  exchangeEnded(method: string, path: string, status: number, durationMs: number): void;
  /** A credential was accepted. */
  authenticated(): void;
  /** A credential was missing or wrong. */
  notAuthenticated(): void;
  /** A request failed that was no call of the pipeline, or was not one yet. */
  refused(error: GatewayError): void;
  /** An attempt is over; `call` is the admitted one. */
  attemptEnded(call: Call, attempt: Attempt, error: GatewayError | undefined): void;
  /** A call of the pipeline is over. */
  callEnded(outcome: CallOutcome): void;
  /** Every target that a call may try has failed. */
  targetsExhausted(call: Call): void;
  /** A provider answered well and said nothing. */
  emptyStream(): void;
  /** Records of the request log that were thrown away because its queue was full. */
  captureDropped(records: number): void;
}

/** Counts nothing. */
export const noMetrics: Metrics = {
  exchangeEnded() {},
  authenticated() {},
  notAuthenticated() {},
  refused() {},
  attemptEnded() {},
  callEnded() {},
  targetsExhausted() {},
  emptyStream() {},
  captureDropped() {},
};
