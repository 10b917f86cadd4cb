/** Beats of several workers, on the health port of their primary process: stalled is the gateway when none of them runs. */
import type { SharedService, WorkerLink } from "../core/worker-link.ts";
import { beatMs, type HealthThread } from "./health-thread.ts";

/** A worker's event loop runs. No body, no answer. */
const topic = "overload.beat";

/** What the primary process does: until the first worker tells, the beats are its own. */
export function serveWorkerBeats(thread: Pick<HealthThread, "beat">): SharedService {
  const starting = setInterval(() => thread.beat(), beatMs);
  starting.unref();
  return {
    handlers: {
      [topic]() {
        clearInterval(starting);
        thread.beat();
      },
    },
  };
}

/** What each worker does. Gives the function that ends it. */
export function beatFrom(link: Pick<WorkerLink, "tell">): () => void {
  const beating = setInterval(() => link.tell(topic, undefined), beatMs);
  beating.unref();
  return () => clearInterval(beating);
}
