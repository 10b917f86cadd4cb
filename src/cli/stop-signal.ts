/** SIGTERM and SIGINT: the first stops gracefully, the next one hurries, and nothing keeps the process after that. */
import { constants } from "node:os";
import type { Logger } from "../core/log.ts";

export interface StopOptions {
  /** Drains; a second call hurries the first. */
  readonly stop: () => Promise<void>;
  readonly log: Logger;
}

/** npm passes on the Ctrl-C that the terminal has sent already: what follows at once is the same signal. */
const sameSignalMs = 500;
/** How long a hurried stop may still take (reliability.md 4.5, P2). */
const hurriedMs = 2_500;

/** Resolves once `stop` is done; rejects where it fails. */
export function waitForSignal({ stop, log }: StopOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    let firstAt: number | undefined;
    let hurried = false;
    const onSignal = (signal: NodeJS.Signals) => {
      const now = performance.now();
      if (firstAt === undefined) {
        firstAt = now;
        log.info("stopping: running calls may finish", { signal });
        stop().then(done, failed);
      } else if (now - firstAt >= sameSignalMs && !hurried) {
        hurried = true;
        log.warn("stopping at once", { signal });
        stop().catch(failed);
        setTimeout(() => process.exit(128 + constants.signals[signal]), hurriedMs).unref();
      }
    };
    const release = () => {
      process.off("SIGTERM", onSignal);
      process.off("SIGINT", onSignal);
    };
    const done = () => {
      release();
      resolve();
    };
    const failed = (error: unknown) => {
      release();
      reject(error instanceof Error ? error : new Error("stopping failed", { cause: error }));
    };
    process.on("SIGTERM", onSignal);
    process.on("SIGINT", onSignal);
  });
}

/** Signals that would end the process, and here do nothing but say so. A terminal that goes away still ends it. */
export function ignoreSignals(reasons: Partial<Record<NodeJS.Signals, string>>, log: Logger): void {
  for (const [signal, reason] of Object.entries(reasons)) {
    if (signal === "SIGHUP" && process.stdin.isTTY) continue;
    process.on(signal, () => log.warn("a signal is ignored", { signal, reason }));
  }
}
