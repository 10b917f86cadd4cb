/** Caller agents come into being with their first call (surfaces.md U21). */
import type { CallerAgentStore } from "../core/caller-agent-store.ts";
import type { Clock } from "../core/clock.ts";
import type { Logger } from "../core/log.ts";
import type { RequestLogRecord } from "../core/request-log-store.ts";

export interface AgentRegisterOptions {
  readonly store: Pick<CallerAgentStore, "register" | "touch">;
  /** Most agents of one tenant; calls of others are served and logged without a record of the agent. */
  readonly maxPerTenant: number;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What an agent may be called (surfaces.md U9); other names are logged and make no agent. */
const agentKey = /^[a-z0-9][a-z0-9._-]{2,63}$/;

/** How long an agent is known to stand, or to have found no room; and how many are. */
const knownMs = 60_000;
const maxKnown = 10_000;

export class AgentRegister {
  readonly #options: AgentRegisterOptions;
  /** Until when, by the monotonic clock. */
  readonly #known = new Map<string, number>();

  constructor(options: AgentRegisterOptions) {
    this.#options = options;
  }

  /** Never rejects: a log record stands without its agent. */
  async note(records: readonly RequestLogRecord[]): Promise<void> {
    const latest = new Map<string, RequestLogRecord>();
    for (const record of records) {
      if (agentKey.test(record.callerAgent)) latest.set(`${record.tenant}\u0000${record.callerAgent}`, record);
    }
    if (latest.size === 0) return;
    const { store, maxPerTenant, clock, log } = this.#options;
    const now = clock.now();
    try {
      for (const [key, { tenant, callerAgent, requestedModel, environment }] of latest) {
        if ((this.#known.get(key) ?? 0) > now) continue;
        if (this.#known.size >= maxKnown) this.#known.clear();
        const agent = { key: callerAgent, description: "", model: requestedModel, environment, discovered: true };
        await store.register(tenant, agent, maxPerTenant);
        this.#known.set(key, now + knownMs);
      }
      await store.touch(Array.from(latest.values(), ({ tenant, callerAgent, createdAt }) => ({ tenant, key: callerAgent, at: createdAt })));
    } catch (error) {
      log.warn("caller agents could not be noted", { error });
    }
  }
}
