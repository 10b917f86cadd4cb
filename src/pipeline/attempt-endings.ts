/** Calls that are over while a stream of theirs is still read for its counts: what they came to is known when that ends. */
import { type Attempt, AttemptStatus } from "../../gen/dragoman/v1/usage_pb.ts";
import type { Call } from "../core/call.ts";

export class AttemptEndings {
  readonly #waiting = new Map<string, (() => void)[]>();

  /** Runs `act` when every attempt of the call is over: at once, but for a stream that is drained. `act` must not throw. */
  whenOver({ attempts }: Pick<Call, "attempts">, act: () => void): void {
    const open = attempts.find(isOpen);
    if (open === undefined) act();
    else this.#waiting.set(open.usageId, [...(this.#waiting.get(open.usageId) ?? []), act]);
  }

  /** To be called when an attempt is over, after its ledger row is written. */
  ended({ usageId }: Attempt): void {
    const acts = this.#waiting.get(usageId);
    if (acts === undefined) return;
    this.#waiting.delete(usageId);
    for (const act of acts) act();
  }
}

/** Whether it still runs, and so may yet cost something. */
export function isOpen({ status }: Attempt): boolean {
  return status === AttemptStatus.UNSPECIFIED;
}
