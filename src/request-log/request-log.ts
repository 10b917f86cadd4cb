/** The request log: records of calls, written behind their answers, pruned by age and size. */
import { setImmediate } from "node:timers/promises";
import type { CallerAgentStore } from "../core/caller-agent-store.ts";
import type { Clock } from "../core/clock.ts";
import type { Logger } from "../core/log.ts";
import type { Redactor } from "../core/redactor.ts";
import type { RequestLog } from "../core/request-log.ts";
import type { LoggedRequest, RequestLogStore } from "../core/request-log-store.ts";
import { AgentRegister } from "./agent-register.ts";
import { type QueueLimits, RecordQueue } from "./record-queue.ts";
import { type EndedCall, nothingSeen, Recorder } from "./recorder.ts";
import { type RetentionPolicy, retentionOf } from "./retention.ts";
import { weightOf } from "./weight.ts";
import { contentOf } from "./write-content.ts";
import { recordOf } from "./write-record.ts";

export interface RequestLogOptions {
  readonly store: Pick<RequestLogStore, "append" | "prune">;
  readonly callerAgents: Pick<CallerAgentStore, "register" | "touch">;
  readonly redactor: Redactor;
  readonly retention: RetentionPolicy;
  /** What holds for some tenants, by their ids: instead of `retention`, and beside the bounds of `prune`. */
  readonly tenants?: ReadonlyMap<string, TenantLogRule> | undefined;
  readonly queue: QueueLimits;
  readonly prune: PruneRule;
  /** Most characters of a body, with retention full. */
  readonly maxBodyLength: number;
  readonly maxAgentsPerTenant: number;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What is thrown away, over all tenants; undefined: nothing by this measure. */
export interface PruneRule {
  readonly everyMs: number;
  readonly maxAgeMs: number;
  readonly maxContentAgeMs: number;
  readonly maxBytes: number;
  readonly maxRecords?: number | undefined;
}

export interface TenantLogRule extends Partial<RetentionPolicy>, Partial<Pick<PruneRule, "maxAgeMs" | "maxContentAgeMs" | "maxBytes">> {}

export interface RunningRequestLog extends RequestLog {
  /** Records that were lost since the start. */
  readonly dropped: number;
  /** Records that wait to be written. */
  readonly waiting: number;
  /** Calls `listener` after records were written; gives the function that ends it. */
  onWritten(listener: () => void): () => void;
  /** Writes what waits now. */
  flush(): Promise<void>;
  /** Throws away what is too old or too much, now. */
  prune(): Promise<void>;
  /** Writes what waits, and ends. */
  close(): Promise<void>;
}

/** How long a batch may keep other work waiting while it is made. */
const maxBlockMs = 10;

/** A record that waits, and what it became once: a batch may be written again. */
interface Pending {
  readonly ended: EndedCall;
  logged?: LoggedRequest;
}

export function createRequestLog(options: RequestLogOptions): RunningRequestLog {
  const { store, redactor, tenants = new Map<string, TenantLogRule>(), maxBodyLength, clock, log } = options;
  const agents = new AgentRegister({ store: options.callerAgents, maxPerTenant: options.maxAgentsPerTenant, clock, log });
  const queue = new RecordQueue<Pending>({ limits: options.queue, write, log });
  const listeners = new Set<() => void>();
  const pruning = setInterval(() => void prune(), options.prune.everyMs);
  pruning.unref();

  return {
    get dropped() {
      return queue.dropped;
    },
    get waiting() {
      return queue.waiting;
    },

    begin(call, request) {
      const retention = retentionOf(call.options, policyOf(call.principal.tenant));
      return new Recorder({
        retention,
        maxAnswerLength: maxBodyLength,
        end(seen, settled, error, durationMs) {
          const kept = retention === "none" ? undefined : request;
          add({ call, request: kept, model: request.model, retention, settled, error, seen, durationMs });
        },
      });
    },

    refused(call, model, error) {
      const retention = retentionOf(call.options, policyOf(call.principal.tenant));
      const durationMs = clock.now() - call.startedAt;
      add({ call, request: undefined, model, retention, settled: undefined, error, seen: nothingSeen, durationMs });
    },

    onWritten(listener) {
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
      };
    },

    flush: () => queue.flush(),
    prune,

    async close() {
      clearInterval(pruning);
      await queue.close();
      listeners.clear();
    },
  };

  function policyOf(tenant: string): RetentionPolicy {
    return { ...options.retention, ...tenants.get(tenant) };
  }

  function add(facts: Omit<EndedCall, "endedAt">): void {
    // The client's body is not to live on in the queue.
    const call = facts.call.wire === undefined ? facts.call : { ...facts.call, wire: undefined };
    const ended = { ...facts, call, endedAt: clock.wall() };
    const { bodies } = call;
    const enqueue = (): void => queue.add({ ended }, weightOf(ended));
    // Without this the record would be written before the last of the answer is.
    if (bodies === undefined) enqueue();
    else bodies.sent.whenSealed(enqueue);
  }

  async function write(items: readonly Pending[]): Promise<void> {
    let blockedSince = clock.now();
    for (const item of items) {
      if (item.logged !== undefined) continue;
      item.logged = logged(item.ended);
      if (clock.now() - blockedSince < maxBlockMs) continue;
      await setImmediate();
      blockedSince = clock.now();
    }
    const requests = items.flatMap((item) => (item.logged === undefined ? [] : [item.logged]));
    await store.append(requests);
    await agents.note(requests.map(({ record }) => record));
    for (const listener of listeners) listener();
  }

  function logged(ended: EndedCall): LoggedRequest {
    return { record: recordOf(ended, redactor), content: contentOf(ended, { redactor, maxBodyLength }) };
  }

  async function prune(): Promise<void> {
    const now = clock.wall();
    const before = (ageMs: number | undefined) => (ageMs === undefined ? undefined : now - ageMs);
    try {
      for (const [tenant, { maxAgeMs, maxContentAgeMs, maxBytes }] of tenants)
        await store.prune(tenant, { before: before(maxAgeMs), contentBefore: before(maxContentAgeMs), maxBytes });
      const { maxAgeMs, maxContentAgeMs, maxBytes, maxRecords } = options.prune;
      await store.prune(undefined, { before: before(maxAgeMs), contentBefore: before(maxContentAgeMs), maxBytes, maxRecords });
    } catch (error) {
      log.warn("the request log could not be pruned", { error });
    }
  }
}
