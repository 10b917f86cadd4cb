/**
 * An exception or a rejection that nobody caught: nobody knows what state the process is in, so it takes nothing new and
 * ends. What runs is told so and settled first, as at a hurried stop; whatever that cannot do, the next start does from
 * the journal.
 */
import type { RunningApp } from "../app/start-app.ts";
import type { Logger } from "../core/log.ts";
import { exitCodes } from "../core/start-error.ts";

/** As long as a second signal may take. */
const lastWordsMs = 2_500;

export interface FaultWatch {
  /** What is to be settled before the process ends. Gives it back. */
  guard(app: RunningApp): RunningApp;
}

export function endOnFault(log: Logger): FaultWatch {
  let running: RunningApp | undefined;
  let ending = false;
  const exit = (): never => process.exit(exitCodes.internal);
  const end = (event: string) => (error: unknown) => {
    log.error("the process failed and ends", { event, error });
    // Faults come again while the first one's state is there.
    if (ending) return;
    ending = true;
    if (running === undefined) exit();
    setTimeout(exit, lastWordsMs);
    const stopped = running?.stop();
    // The second call does not wait for what runs.
    running?.stop().catch(() => undefined);
    stopped?.then(exit, exit);
  };
  process.on("uncaughtException", end("uncaughtException"));
  process.on("unhandledRejection", end("unhandledRejection"));
  return {
    guard(app) {
      running = app;
      return app;
    },
  };
}
