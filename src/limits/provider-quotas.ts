/**
 * What each provider may be sent within any minute, over all callers (surfaces.md 2.6, step 10): quotas that an account has
 * there. Counted where all limits are, so that workers and machines keep to them together.
 */
import { ulid } from "../core/id.ts";
import type { LimitLevel, ProviderPlace, ProviderQuotas } from "../core/limits.ts";
import type { Counter, LimitState, TakeReply } from "./limit-state.ts";

export interface ProviderQuota {
  /** 0: none. */
  readonly requestsPerMinute: number;
  /** Input and output together; 0: none. */
  readonly tokensPerMinute: number;
}

/** No tenant has such a name. */
const owner = ":providers";
const minuteMs = 60_000;
const fields = { requests: "requests_per_minute", tokens: "tokens_per_minute" } as const;

/** Undefined where no provider has a quota. */
export function createProviderQuotas(state: LimitState, quotas: ReadonlyMap<string, ProviderQuota>): ProviderQuotas | undefined {
  if (![...quotas.values()].some(({ requestsPerMinute, tokensPerMinute }) => requestsPerMinute > 0 || tokensPerMinute > 0))
    return undefined;

  return {
    enter(provider, tokens) {
      const counters = countersOf(provider, tokens);
      if (counters.length === 0) return open;
      const id = ulid();
      const answer = (reply: TakeReply) => placeOf(id, provider, counters, reply);
      const reply = state.take({ id, tenant: owner, counters });
      return reply instanceof Promise ? reply.then(answer) : answer(reply);
    },
  };

  function countersOf(provider: string, tokens: number): readonly Counter[] {
    const { requestsPerMinute = 0, tokensPerMinute = 0 } = quotas.get(provider) ?? {};
    return [
      ...(requestsPerMinute > 0 ? [counterOf(provider, "requests", requestsPerMinute, 1)] : []),
      ...(tokensPerMinute > 0 ? [counterOf(provider, "tokens", tokensPerMinute, tokens)] : []),
    ];
  }

  function placeOf(id: string, provider: string, counters: readonly Counter[], { verdict, levels }: TakeReply): ProviderPlace {
    // Nobody can count now: the provider itself says when it is too much.
    if (verdict === "away") return open;
    if (verdict !== "taken") {
      const waits = levels.map(({ waitMs }) => waitMs);
      return { waitMs: Math.max(1, ...waits), levels: counters.flatMap((counter, index) => levelOf(provider, counter, levels[index])) };
    }
    return {
      settle({ requests, tokens }) {
        const changes = counters.map(({ key, kind, windowMs, endsAt }, index) => {
          const { at = 0, taken = 0 } = levels[index] ?? {};
          return { key, kind, windowMs, endsAt, at, taken, total: isOfRequests(key) ? requests : tokens };
        });
        state.settle({ id, tenant: owner, changes });
      },
    };
  }
}

const open: ProviderPlace = { settle: () => undefined };

function counterOf(provider: string, what: keyof typeof fields, limit: number, need: number): Counter {
  // What is larger than the quota must not be refused for ever.
  return {
    key: `${what}:${provider}`,
    kind: "window",
    limit,
    need: Math.min(need, limit),
    windowMs: minuteMs,
    endsAt: 0,
    fallback: "local-share",
  };
}

function isOfRequests(key: string): boolean {
  return key.startsWith("requests:");
}

function levelOf(
  provider: string,
  { key, limit: configured }: Counter,
  level: TakeReply["levels"][number] | undefined,
): readonly LimitLevel[] {
  if (level === undefined || level.waitMs === 0) return [];
  const { limit = configured, used, resetMs } = level;
  const field = isOfRequests(key) ? fields.requests : fields.tokens;
  return [
    { rule: `providers.${provider}`, subject: "model", subjectId: provider, field, limit, remaining: Math.max(0, limit - used), resetMs },
  ];
}
