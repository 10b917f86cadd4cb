/**
 * The counters of a machine's primary process, used by its workers. What is asked and answered is plain data. A worker that
 * dies gives its slots back.
 */
import { GatewayError } from "../core/error.ts";
import type { SharedService, WorkerLink } from "../core/worker-link.ts";
import { type Counter, type CounterLevel, type LimitState, type Settlement, type Take, type TakeReply, unusedOf } from "./limit-state.ts";
import type { MemoryLimitState } from "./memory-state.ts";

/** Bodies: Take; Settlement; Asked; Asked. Answers: TakeReply; none; CounterLevel[]; none. */
const topics = { take: "limits.take", settle: "limits.settle", look: "limits.look", reset: "limits.reset" } as const;

interface Asked {
  readonly tenant: string;
  readonly counters: readonly Counter[];
}

/** What the primary process holds for its workers. */
export function serveLimitState(state: MemoryLimitState): SharedService {
  return {
    handlers: {
      [topics.take]: (body, from) => state.take(body as Take, from),
      [topics.settle]: (body) => state.settle(body as Settlement),
      [topics.look]: (body) => state.look((body as Asked).tenant, (body as Asked).counters),
      [topics.reset]: (body) => state.reset((body as Asked).tenant, (body as Asked).counters),
    },
    gone: (from) => state.forget(from),
  };
}

/** How long a call waits for its take, and how long the answer to it may come nonetheless: a busy primary takes late. */
const patienceMs = 1_000;
const lateMs = 60_000;

/** Without the primary nothing can be counted: takes are refused as `away`. This process is about to end then. */
export function createRemoteLimitState(link: Pick<WorkerLink, "ask" | "tell">, wall: () => number): LimitState {
  let away = false;
  const ask = async (topic: string, body: unknown, timeoutMs = patienceMs): Promise<unknown> => {
    try {
      const answer = await link.ask(topic, body, { timeoutMs });
      away = false;
      return answer;
    } catch (cause) {
      away = true;
      throw new GatewayError("store_unavailable", "the process that keeps the limits does not answer; repeat the call", { cause });
    }
  };
  /** What is taken after the call has given up would be held for good: nobody else knows of it. */
  const take = (wanted: Take): Promise<TakeReply> =>
    new Promise((resolve) => {
      let isLate = false;
      const giveUp = (): void => {
        clearTimeout(timer);
        isLate = true;
        away = true;
        resolve({ verdict: "away", levels: [] });
      };
      const timer = setTimeout(giveUp, patienceMs).unref();
      const hear = (reply: TakeReply): void => {
        clearTimeout(timer);
        if (!isLate) resolve(reply);
        else if (reply.verdict === "taken") link.tell(topics.settle, unusedOf(wanted, reply.levels));
      };
      ask(topics.take, wanted, lateMs).then((answer) => hear(answer as TakeReply), giveUp);
    });
  return {
    wall,
    take,
    settle: (settlement) => link.tell(topics.settle, settlement),
    look: async (tenant, counters) => (await ask(topics.look, { tenant, counters })) as readonly CounterLevel[],
    async reset(tenant, counters) {
      await ask(topics.reset, { tenant, counters });
    },
    get away() {
      return away;
    },
    // Another worker may still need the counters.
    close: () => undefined,
  };
}
