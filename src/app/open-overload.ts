import type { Config } from "../config/schema.ts";
import { systemClock } from "../core/clock.ts";
import type { Logger } from "../core/log.ts";
import type { WorkerLink } from "../core/worker-link.ts";
import { beatMs, startHealthThread } from "../overload/health-thread.ts";
import { OverloadWatch } from "../overload/overload-watch.ts";
import { beatFrom } from "../overload/worker-beats.ts";

export interface OpenedOverload {
  readonly watch: OverloadWatch;
  close(): Promise<void>;
}

export interface OverloadParts {
  readonly link: WorkerLink | undefined;
  readonly log: Logger;
  readonly onFull: (() => void) | undefined;
}

/** Watches whether this process keeps up, and tells it on the health port where there is one: with several workers that is the primary's. */
export async function openOverload({ admission, server }: Config, { link, log, onFull }: OverloadParts): Promise<OpenedOverload> {
  const { event_loop_ms: loopMs, shed_heap: shedHeap, restart_heap: fullHeap } = admission.overload;
  const endBeats = server.listen_health === undefined ? undefined : await beginBeats(server.listen_health, link);
  const watch = new OverloadWatch({
    limits: { loopMs, shedHeap, fullHeap },
    clock: systemClock,
    log,
    onFull: () => onFull?.(),
  });
  watch.start();
  return {
    watch,
    async close() {
      watch.close();
      await endBeats?.();
    },
  };
}

/** Gives the function that ends them. */
async function beginBeats(address: { readonly host: string; readonly port: number }, link: WorkerLink | undefined) {
  if (link !== undefined) return beatFrom(link);
  const thread = await startHealthThread(address);
  const beating = setInterval(() => thread.beat(), beatMs);
  beating.unref();
  return () => {
    clearInterval(beating);
    return thread.close();
  };
}
