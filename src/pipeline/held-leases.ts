/** Calls that are over while a stream of theirs is still read for its counts: their limits are settled when that ends. */
import { AttemptStatus } from "../../gen/dragoman/v1/usage_pb.ts";
import type { Call } from "../core/call.ts";
import type { AttemptEnding, LedgerTap } from "../core/ledger.ts";

export class HeldLeases implements LedgerTap {
  readonly #waiting = new Map<string, () => void>();

  /** Runs `settle` when every attempt is over: at once, but for streams that are drained. */
  whenOver({ attempts }: Pick<Call, "attempts">, settle: () => void): void {
    const open = attempts.find(({ status }) => status === AttemptStatus.UNSPECIFIED);
    if (open === undefined) settle();
    else this.#waiting.set(open.usageId, settle);
  }

  attemptEnded({ attempt }: Pick<AttemptEnding, "attempt">): void {
    const settle = this.#waiting.get(attempt.usageId);
    if (settle === undefined) return;
    this.#waiting.delete(attempt.usageId);
    settle();
  }
}
