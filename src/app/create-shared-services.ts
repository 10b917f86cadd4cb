import type { Config } from "../config/schema.ts";
import { systemClock } from "../core/clock.ts";
import type { SharedService } from "../core/worker-link.ts";
import { MemoryLimitState } from "../limits/memory-state.ts";
import { serveLimitState } from "../limits/remote-state.ts";
import { serveSignatures } from "../stores/shared-signatures.ts";
import { serveWorkerCounts } from "../telemetry/worker-counts.ts";
import { createSignatures } from "./create-signatures.ts";

/** What workers share in the memory of their primary process. */
export function createSharedServices(config: Config): readonly SharedService[] {
  return [
    serveSignatures(createSignatures(config)),
    serveWorkerCounts(),
    serveLimitState(new MemoryLimitState({ clock: systemClock, maxCounters: config.limits.max_counters })),
  ];
}
