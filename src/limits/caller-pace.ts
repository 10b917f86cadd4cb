/**
 * How many requests one caller may send, whatever they ask for (surfaces.md 2.6, step 3). It is asked when a request's head is
 * there. Of `perSecond` with bursts of `burst` is made a window: no more than `burst` within the time in which so many are
 * due. A full bucket would let in twice as many.
 */
import { GatewayError } from "../core/error.ts";
import { ulid } from "../core/id.ts";
import type { CallerPace } from "../core/limits.ts";
import type { Peer } from "../core/peer.ts";
import type { Principal } from "../core/principal.ts";
import { rateLimitHeaders } from "../core/rate-limit-headers.ts";
import type { Counter, LimitState, TakeReply } from "./limit-state.ts";

export interface CallerPaceOptions {
  readonly state: LimitState;
  readonly perSecond: number;
  readonly burst: number;
  /** Where a request comes from, behind proxies that are trusted. */
  readonly addressOf: (peer: Peer) => string;
}

export function createCallerPace({ state, perSecond, burst, addressOf }: CallerPaceOptions): CallerPace {
  const windowMs = (burst / perSecond) * 1_000;
  const judge = ({ verdict, levels: [level] }: TakeReply): void => {
    if (verdict === "taken") return;
    if (verdict !== "refused" || level === undefined) {
      throw new GatewayError("store_unavailable", "how often you have called cannot be counted now; repeat the call", {
        retryAfterMs: 1_000,
      });
    }
    const { limit, used, waitMs, resetMs } = level;
    const remaining = Math.max(0, limit - used);
    const held = { rule: "limits.caller_pace", subject: "key", subjectId: "", field: "requests_per_second" } as const;
    const description = `${perSecond} requests a second, and ${burst} at once, are the most that one caller may send`;
    throw new GatewayError("rate_limited", `${description}; slow down`, {
      retryAfterMs: waitMs,
      headers: rateLimitHeaders([{ ...held, limit, remaining, resetMs }]),
      violations: [{ subject: "caller/requests_per_second", description }],
      undispatched: true,
    });
  };

  return {
    check(principal, peer) {
      const key = `caller:${nameOf(principal, peer)}`;
      const counter: Counter = { key, kind: "window", limit: burst, need: 1, windowMs, endsAt: 0, fallback: "local-share" };
      const reply = state.take({ id: ulid(), tenant: principal.tenant, counters: [counter] });
      return reply instanceof Promise ? reply.then(judge) : judge(reply);
    },
  };

  function nameOf({ kind, id }: Principal, peer: Peer): string {
    return kind === "anonymous" ? addressOf(peer) : id;
  }
}
