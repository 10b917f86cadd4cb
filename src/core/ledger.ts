/** Where the pipeline puts what was spent: one entry an attempt, failed and aborted ones included. */
import type { Attempt } from "../../gen/dragoman/v1/usage_pb.ts";
import type { Call } from "./call.ts";
import type { GatewayError } from "./error.ts";

/** A call that is over. */
export interface CallOutcome {
  readonly call: Call;
  readonly requestedModel: string;
  /** Undefined on success. */
  readonly error: GatewayError | undefined;
  /** Milliseconds from the call's start to its end. */
  readonly durationMs: number;
}

export interface Ledger {
  /** Called once per attempt, when it is over; the attempt does not change afterwards. Never throws. */
  attemptEnded(call: Call, attempt: Attempt, error: GatewayError | undefined): void;
  /** Called once per call, after its attempts. Never throws. */
  callEnded(outcome: CallOutcome): void;
}
