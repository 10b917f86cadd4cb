/**
 * Where the pipeline puts what was spent: one row an attempt, failed and aborted ones included (reliability.md 3).
 * An attempt begins before its first byte leaves and is settled once, when it is over.
 */
import type { Attempt } from "../../gen/dragoman/v1/usage_pb.ts";
import type { Call } from "./call.ts";
import type { GatewayError } from "./error.ts";
import type { LedgerIntent, LedgerSettlement } from "./ledger-row.ts";

/** A call that is over. */
export interface CallOutcome {
  readonly call: Call;
  readonly requestedModel: string;
  /** Undefined on success. */
  readonly error: GatewayError | undefined;
  /** Milliseconds from the call's start to its end. */
  readonly durationMs: number;
}

/** An attempt that is over. */
export interface AttemptEnding {
  readonly call: Call;
  /** Does not change afterwards. */
  readonly attempt: Attempt;
  readonly settlement: LedgerSettlement;
  /** Undefined on success. */
  readonly error: GatewayError | undefined;
}

/** The ledger adds the epoch: who holds the row is its own affair. */
export type AttemptIntent = Omit<LedgerIntent, "epoch">;

/** What an attempt has cost until now, for the case that the process dies with it. */
export interface Checkpoint {
  /** Undefined where the provider has not said it yet. */
  readonly inputTokens: number | undefined;
  readonly outputTokens: number;
}

/** Looks at what ends, in memory: log lines, metrics, request log. */
export interface LedgerTap {
  /** Called once per attempt. Never throws, never waits. */
  attemptEnded?(ending: AttemptEnding): void;
  /** Called once per call, after its attempts. Never throws, never waits. */
  callEnded?(outcome: CallOutcome): void;
}

export interface Ledger {
  /**
   * Keeps the intent, so that it outlives this process as far as the journal's mode promises. A promise only where that
   * takes time: then nothing may be sent before it resolves. Throws, or rejects with, GatewayError `ledger_unavailable`.
   */
  begin(intent: AttemptIntent): Promise<void> | undefined;
  /** Never throws, never waits. */
  checkpoint(usageId: string, checkpoint: Checkpoint): void;
  /** Called once per attempt that began; a second settlement is logged as a fault and has no effect. Never throws, never waits. */
  settle(ending: AttemptEnding): void;
  /** Called once per call, after its attempts; one that is drained may settle later. Never throws. */
  callEnded(outcome: CallOutcome): void;
}
