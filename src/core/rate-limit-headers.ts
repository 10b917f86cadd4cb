/** What is left, as clients read it: x-ratelimit-{limit,remaining,reset}-{requests,tokens} (surfaces.md 2.6). */
import { type LimitLevel, type LimitMetric, limitFields } from "./limits.ts";

const families: readonly { readonly name: string; readonly metrics: readonly LimitMetric[] }[] = [
  { name: "requests", metrics: ["requests"] },
  { name: "tokens", metrics: ["tokens", "input_tokens", "output_tokens"] },
];

/** Of several limits of one family the one with the smallest part left. Empty where none holds. */
export function rateLimitHeaders(levels: readonly LimitLevel[]): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const { name, metrics } of families) {
    let tightest: LimitLevel | undefined;
    for (const level of levels) {
      if (metrics.includes(limitFields[level.field].metric) && (tightest === undefined || partLeft(level) < partLeft(tightest)))
        tightest = level;
    }
    if (tightest === undefined) continue;
    headers[`x-ratelimit-limit-${name}`] = String(tightest.limit);
    headers[`x-ratelimit-remaining-${name}`] = String(tightest.remaining);
    headers[`x-ratelimit-reset-${name}`] = writeSpan(tightest.resetMs);
  }
  return headers;
}

/** Of a refusal because so many calls run: every 429 says something of requests (surfaces.md 2.6). `waitMs`: until a try makes sense. */
export function concurrencyHeaders(limit: number, waitMs: number): Record<string, string> {
  return {
    "x-ratelimit-limit-requests": String(limit),
    "x-ratelimit-remaining-requests": "0",
    "x-ratelimit-reset-requests": writeSpan(waitMs),
  };
}

function partLeft({ remaining, limit }: LimitLevel): number {
  return remaining / limit;
}

/** As OpenAI writes spans: `250ms`, `12s`, `6m0s`, `1h0m0s`. https://platform.openai.com/docs/guides/rate-limits */
function writeSpan(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.ceil(ms))}ms`;
  const seconds = Math.ceil(ms / 1_000);
  const [hours, minutes] = [Math.floor(seconds / 3_600), Math.floor((seconds % 3_600) / 60)];
  const rest = `${seconds % 60}s`;
  if (hours > 0) return `${hours}h${minutes}m${rest}`;
  return minutes > 0 ? `${minutes}m${rest}` : rest;
}
