/** /metrics and /statsz of one process, or of all workers together, whichever of them is asked. */
import type { Exposition } from "../core/exposition.ts";
import { LinkError, type WorkerLink } from "../core/worker-link.ts";
import type { CountedMetrics } from "./metrics.ts";
import { renderMetrics } from "./prometheus.ts";
import { showStats } from "./stats.ts";
import { countTopics, type WorkerCounts } from "./worker-counts.ts";

export interface RunningExposition extends Exposition {
  /** Leaves what was counted with the others. Never throws. */
  close(): Promise<void>;
}

/** Topic of WorkerLink.askAll: tell the primary what you have counted. No body, no answer. */
const tellTopic = "telemetry.tell";

/** What a worker has counted since it last told is lost when it is killed. */
const tellMs = 5_000;

export function createExposition(metrics: CountedMetrics, link: WorkerLink | undefined): RunningExposition {
  const counts = async (): Promise<WorkerCounts> => ({ metrics: await metrics.snapshot(), stats: metrics.stats() });
  if (link === undefined)
    return expose(
      async () => [await counts()],
      async () => {},
    );

  const tell = async (): Promise<null> => {
    link.tell(countTopics.keep, await counts());
    return null;
  };
  link.serve(tellTopic, tell);
  const telling = setInterval(() => void tell(), tellMs);
  telling.unref();

  return expose(
    async () => {
      await link.askAll(tellTopic, undefined);
      // Only worker-counts.ts answers this topic.
      return (await link.ask(countTopics.all, undefined)) as readonly WorkerCounts[];
    },
    async () => {
      clearInterval(telling);
      try {
        await link.ask(countTopics.keep, await counts());
      } catch (thrown) {
        // The primary has gone before, and took the counts of all with it.
        if (!(thrown instanceof LinkError)) throw thrown;
      }
    },
  );
}

function expose(ofAll: () => Promise<readonly WorkerCounts[]>, close: () => Promise<void>): RunningExposition {
  return {
    metrics: async () => renderMetrics((await ofAll()).map(({ metrics }) => metrics)),
    stats: async () => showStats((await ofAll()).map(({ stats }) => stats)),
    close,
  };
}
