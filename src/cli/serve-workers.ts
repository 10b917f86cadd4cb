/** `dragoman serve` with several workers: what the primary process does, and what each worker does. */
import type { RunningApp, WorkerSeat } from "../app/start-app.ts";
import { FirstWorkerFailed, type Primary, startPrimary } from "../cluster/primary.ts";
import type { Membership } from "../cluster/worker.ts";
import type { Config } from "../config/schema.ts";
import type { Logger } from "../core/log.ts";
import { exitCodes } from "../core/start-error.ts";
import type { SharedService } from "../core/worker-link.ts";
import { type HealthThread, startHealthThread } from "../overload/health-thread.ts";
import { serveWorkerBeats } from "../overload/worker-beats.ts";
import { explainListenFailure } from "./explain-listen-failure.ts";
import { factsOf, greeting, type ServingFacts } from "./greeting.ts";
import { ignoreSignals, waitForSignal } from "./stop-signal.ts";
import type { Terminal } from "./terminal.ts";

export interface PrimaryRun {
  readonly workers: number;
  readonly config: Config;
  readonly services: readonly SharedService[];
  readonly terminal: Pick<Terminal, "write" | "color">;
  readonly log: Logger;
}

/** Gives the exit code: that of the first worker where it does not start, for it has said why. */
export async function runPrimary({ workers, config, services, terminal, log }: PrimaryRun): Promise<number> {
  const { listen, listen_admin: listenAdmin, listen_health: listenHealth, max_connections: maxConnections } = config.server;
  let primary: Primary | undefined;
  let health: HealthThread | undefined;
  ignoreSignals({ SIGHUP: "the configuration is read again when workers are replaced: SIGUSR2" }, log);
  process.on("SIGUSR2", () => {
    if (primary === undefined) log.warn("the workers are still starting", { signal: "SIGUSR2" });
    else void primary.restart();
  });
  try {
    health = listenHealth === undefined ? undefined : await startHealthThread(listenHealth);
    const all = health === undefined ? services : [...services, serveWorkerBeats(health)];
    primary = await startPrimary({ workers, ports: { data: listen, admin: listenAdmin }, maxConnections, services: all, log });
  } catch (error) {
    if (error instanceof FirstWorkerFailed) return error.exitCode;
    throw explainListenFailure(error, config) ?? error;
  }
  terminal.write(greeting(primary.facts as ServingFacts, config, terminal, workers));
  const { stop } = primary;
  await waitForSignal({ stop, log });
  await health?.close();
  return exitCodes.ok;
}

export interface WorkerRun {
  readonly log: Logger;
  start(workers: WorkerSeat, onFull: () => void): Promise<RunningApp>;
}

/** Gives the exit code once the primary has ended this worker. */
export async function runWorker(membership: Membership, { log, start }: WorkerRun): Promise<number> {
  const stopped = Promise.withResolvers<number>();
  let app: RunningApp | undefined;
  let stopping = false;
  membership.onStop((mode) => {
    // Nothing runs yet: there is nothing to drain.
    if (app === undefined) process.exit(exitCodes.ok);
    // Being replaced and then drained is one end; only `hurry` shortens it.
    if (stopping && mode !== "hurry") return;
    stopping = true;
    log.info("stopping", { reason: mode });
    app.stop({ replaced: mode === "replaced" }).then(() => stopped.resolve(exitCodes.ok), stopped.reject);
  });
  let isFull = false;
  app = await start(membership, () => {
    isFull = true;
    if (app !== undefined) membership.wornOut();
  });
  membership.ready(factsOf(app));
  // Only one that serves can be replaced.
  if (isFull) membership.wornOut();
  return stopped.promise;
}
