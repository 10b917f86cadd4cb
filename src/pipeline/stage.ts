/** The onion: a stage takes the next step and gives one of the same shape (design.md 6). */
import type { Call } from "../core/call.ts";

export type Step<Request, Reply> = (request: Request, call: Call) => Reply;
export type Stage<Request, Reply> = (next: Step<Request, Reply>) => Step<Request, Reply>;

/** The first stage is the outermost. */
export function compose<Request, Reply>(stages: readonly Stage<Request, Reply>[], last: Step<Request, Reply>): Step<Request, Reply> {
  return stages.reduceRight((next, stage) => stage(next), last);
}
