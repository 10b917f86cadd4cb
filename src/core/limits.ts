/**
 * Limits and budgets as the pipeline and the surfaces see them. What a call may take is reserved before it is dispatched,
 * over all rules that hold for it or none, and put right once when it is over. Tokens and bytes are whole, money is whole
 * nano-dollars.
 */
import type { LimitRuleRecord } from "./limit-rule-store.ts";
import type { Peer } from "./peer.ts";
import type { Principal } from "./principal.ts";

/** Who or what a rule counts. */
export const limitSubjects = ["tenant", "project", "owner", "key", "end_user", "model", "route"] as const;
export type LimitSubject = (typeof limitSubjects)[number];

/** Whether what is spent is known of a kind of subject: the ledger does not name owners, so rules for them have no budgets. */
export function hasBudgets(subject: LimitSubject): boolean {
  return subject !== "owner";
}

/** What a rule counts. */
export type LimitMetric = "requests" | "input_tokens" | "output_tokens" | "tokens" | "bytes" | "cost" | "concurrency";

/** Over which span: the last second or minute at every moment, the calendar's day or month; `now` is what runs. */
export type LimitWindow = "second" | "minute" | "day" | "month" | "now";

/**
 * What holds while the state that replicas share cannot be reached: refuse, let each process admit its share of the
 * limit, or admit everything (reliability.md 3.9).
 */
export const limitFallbacks = ["closed", "local-share", "open"] as const;
export type LimitFallback = (typeof limitFallbacks)[number];

/** What a call is, for the rules. Empty text: it has none of these. */
export interface LimitFacts {
  readonly tenant: string;
  readonly project: string;
  /** Who owns the key: all keys of an owner count together. */
  readonly owner: string;
  /** The principal's id. */
  readonly key: string;
  readonly endUser: string;
  /** Every name of the model, the one that tells it best first: `provider/model`, `model`, as it was asked for. */
  readonly models: readonly string[];
  readonly route: string;
}

/** What a call may come to, or what it came to. */
export interface LimitAmounts {
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly bytes: number;
  /** 0 where no price is known. */
  readonly costNano: bigint;
}

/** What is left of one limit. */
export interface LimitLevel {
  /** Id of the rule. */
  readonly rule: string;
  readonly subject: LimitSubject;
  /** Which one is counted. */
  readonly subjectId: string;
  readonly field: LimitField;
  /** In the unit of what is counted; money in nano-dollars. */
  readonly limit: number;
  /** Not negative. */
  readonly remaining: number;
  /** Milliseconds until all of it is there again, if nothing more is taken; 0 for what only runs. */
  readonly resetMs: number;
}

/** What one call holds. */
export interface LimitLease {
  /** Every limit that held for the call, as they stood when it was taken. */
  readonly levels: readonly LimitLevel[];
  /** As they were reserved: their number does not change. */
  readonly bytes: number;
  /** Puts right what was reserved, and gives slots back: what was not used is there again. The first call counts. Never throws, never waits. */
  settle(actual: LimitAmounts): void;
}

/** The rules that hold for one call. */
export interface LimitClaim {
  /** Whether a budget is among them: then `costNano` is wanted. */
  readonly needsCost: boolean;
  readonly needsBytes: boolean;
  /**
   * Throws GatewayError: `rate_limited`, `concurrency_limit_exceeded`, `quota_exhausted`, with the headers and
   * violations of the limit; `store_unavailable` where a limit is closed while the shared state is away.
   */
  reserve(estimate: LimitAmounts): LimitLease | Promise<LimitLease>;
}

export interface Limiter {
  /** Whether there is no rule at all: then nobody needs to say what a call is. */
  readonly idle: boolean;
  /** Undefined where no rule holds: then nothing is to be done. `metrics`: what of the rules counts; absent: all of it. */
  claim(facts: LimitFacts, metrics?: ReadonlySet<LimitMetric>): LimitClaim | undefined;
}

/** How many requests one caller may send, whatever they ask for: asked when a request's head is there, before its body is read. */
export interface CallerPace {
  /** `peer`: whom anonymous callers are told apart by. Throws GatewayError rate_limited. */
  check(principal: Principal, peer: Peer): void | Promise<void>;
}

/** What was taken of a provider's quotas for one attempt; or why it was not. */
export type ProviderPlace =
  | {
      /** Puts right what was taken; once, when the attempt is over. */
      settle(actual: { readonly requests: 0 | 1; readonly tokens: number }): void;
    }
  | {
      readonly waitMs: number;
      /** The quotas that are used up. */
      readonly levels: readonly LimitLevel[];
    };

/** What each provider may be sent, over all callers. */
export interface ProviderQuotas {
  /** `tokens`: what the attempt may use. Never rejects. */
  enter(provider: string, tokens: number): ProviderPlace | Promise<ProviderPlace>;
}

/** A rule that operators set, read: what a LimitRuleRecord's settings mean. Fields are limits; absent: none. */
export interface LimitSettings {
  readonly requests_per_second?: number | undefined;
  readonly requests_per_minute?: number | undefined;
  readonly input_tokens_per_minute?: number | undefined;
  readonly output_tokens_per_minute?: number | undefined;
  readonly tokens_per_minute?: number | undefined;
  readonly bytes_per_minute?: number | undefined;
  readonly concurrency?: number | undefined;
  /** Nano-dollars. */
  readonly cost_nano_usd_per_day?: number | undefined;
  readonly cost_nano_usd_per_month?: number | undefined;
  /** Absent: `closed` for money, `local-share` for everything else. */
  readonly shared_state_gone?: LimitFallback | undefined;
}

/** The fields of LimitSettings that are limits, with what each counts. */
export const limitFields = {
  requests_per_second: { metric: "requests", window: "second" },
  requests_per_minute: { metric: "requests", window: "minute" },
  input_tokens_per_minute: { metric: "input_tokens", window: "minute" },
  output_tokens_per_minute: { metric: "output_tokens", window: "minute" },
  tokens_per_minute: { metric: "tokens", window: "minute" },
  bytes_per_minute: { metric: "bytes", window: "minute" },
  concurrency: { metric: "concurrency", window: "now" },
  cost_nano_usd_per_day: { metric: "cost", window: "day" },
  cost_nano_usd_per_month: { metric: "cost", window: "month" },
} as const satisfies Partial<Record<keyof LimitSettings, { readonly metric: LimitMetric; readonly window: LimitWindow }>>;

export type LimitField = keyof typeof limitFields;

/** The largest limit of every kind: counters are exact whole numbers below 2^53. In money 9 million dollars. */
export const maxLimit = 9_000_000_000_000_000;

/** What administration asks of the limits beside the rules themselves. */
export interface LimitDesk {
  /** Every limit that would hold for such a call, as it stands now. */
  usage(facts: LimitFacts): Promise<readonly LimitLevel[]>;
  /** Empties those of them that a rule names; all where no rule is named. What runs keeps its slots. Returns them as they are then. */
  reset(facts: LimitFacts, rule: string): Promise<readonly LimitLevel[]>;
  /** Takes changed rules into use here at once; other processes see them within seconds. */
  rulesChanged(): Promise<void>;
  /** What a record's settings say. Throws GatewayError invalid_request naming the field. */
  readSettings(record: Pick<LimitRuleRecord, "settingsJson">): LimitSettings;
}
