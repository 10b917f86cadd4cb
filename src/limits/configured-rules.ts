/** The rules of a configuration, as rules. */
import type { LimitFallback, LimitSettings, LimitSubject } from "../core/limits.ts";
import { readDollars } from "../core/money.ts";
import type { LimitRule } from "./limit-rule.ts";

/** One of `limits.rules`, checked by the schema; dollars as text. */
export interface ConfiguredLimit {
  readonly tenant: string;
  readonly subject: LimitSubject;
  readonly id: string;
  readonly requests_per_second?: number | undefined;
  readonly requests_per_minute?: number | undefined;
  readonly input_tokens_per_minute?: number | undefined;
  readonly output_tokens_per_minute?: number | undefined;
  readonly tokens_per_minute?: number | undefined;
  readonly bytes_per_minute?: number | undefined;
  readonly concurrency?: number | undefined;
  readonly usd_per_day?: string | undefined;
  readonly usd_per_month?: string | undefined;
  readonly shared_state_gone?: LimitFallback | undefined;
}

/** Ids come from what a rule names, not from its place in the list: counters outlive an edit of the file. */
export function readConfiguredLimits(configured: readonly ConfiguredLimit[]): readonly LimitRule[] {
  const seen = new Map<string, number>();
  return configured.map(({ tenant, subject, id, usd_per_day: perDay, usd_per_month: perMonth, ...limits }) => {
    const name = `config:${subject}:${tenant}:${id}`;
    const number = (seen.get(name) ?? 0) + 1;
    seen.set(name, number);
    const settings: LimitSettings = { ...limits, cost_nano_usd_per_day: readNano(perDay), cost_nano_usd_per_month: readNano(perMonth) };
    return { id: number === 1 ? name : `${name}:${number}`, tenant, subject, subjectId: id, settings };
  });
}

/** The schema keeps it below 2^53. */
function readNano(dollars: string | undefined): number | undefined {
  const nano = dollars === undefined ? undefined : readDollars(dollars);
  return nano === undefined ? undefined : Number(nano);
}
