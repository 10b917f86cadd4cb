/**
 * What the gateway counts beside attempts and calls, which telemetry sees as a tap of the ledger; said by meaning, telemetry
 * gives it names (surfaces.md 8). Methods are cheap and never throw.
 */
import type { Call } from "./call.ts";
import type { GatewayError } from "./error.ts";

export interface Metrics {
  /** An HTTP exchange of the data port is over. `path` is a template, never what a client wrote; status 499 where the client left first. */
  exchangeEnded(method: string, path: string, status: number, durationMs: number): void;
  /** A credential was accepted. */
  authenticated(): void;
  /** A credential was missing or wrong. */
  notAuthenticated(): void;
  /** A request failed that was no call of the pipeline, or was not one yet. */
  refused(error: GatewayError): void;
  /** Every target that a call may try has failed. */
  targetsExhausted(call: Call): void;
  /** A provider answered well and said nothing. */
  emptyStream(): void;
}
