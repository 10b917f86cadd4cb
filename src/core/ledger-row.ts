/** One attempt as the ledger keeps it: the unit of billing (reliability.md 3). Money is nano-dollars, tokens are whole. */
import type { Usage } from "../../gen/dragoman/v1/usage_pb.ts";

/** `released`: nothing was sent for certain. `orphaned` ones become settled when the process starts again. */
export type LedgerState = "reserved" | "dispatched" | "settled" | "released";

/** What is known before the first byte leaves. */
export interface LedgerIntent {
  /** A ULID: the row's one key. */
  readonly usageId: string;
  readonly requestId: string;
  readonly attempt: number;
  readonly tenant: string;
  readonly project: string;
  /** Of the principal. */
  readonly principal: string;
  readonly endUser: string;
  readonly surface: string;
  readonly operation: string;
  readonly requestedModel: string;
  readonly route: string;
  readonly provider: string;
  readonly target: string;
  readonly upstreamModel: string;
  /** What the call may cost at most; 0 where no price is known. */
  readonly reservedNano: bigint;
  readonly estimatedInputTokens: number;
  readonly pricingVersion: string;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  /** Of the process that holds the reservation. */
  readonly epoch: string;
}

/** How an attempt ended. */
export interface LedgerSettlement {
  readonly usageId: string;
  readonly state: "settled" | "released";
  /** `success`, an error's reason, or `crash` where the process died with it. */
  readonly outcome: string;
  readonly status: "success" | "error" | "timeout" | "cancelled";
  readonly httpStatus: number;
  /** Undefined where nothing was billed. */
  readonly usage: Usage | undefined;
  /** What the provider takes; undefined where a price is missing. */
  readonly costNano: bigint | undefined;
  /** What the tenant is charged. */
  readonly chargeNano: bigint | undefined;
  readonly pricingVersion: string;
  /** Milliseconds since 1970. */
  readonly endedAt: number;
  readonly durationMs: number;
  readonly firstContentMs: number | undefined;
  readonly upstreamRequestId: string;
}

export interface LedgerRow extends LedgerIntent, Omit<LedgerSettlement, "usageId" | "state"> {
  readonly state: LedgerState;
}
