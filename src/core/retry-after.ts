/** After which time a provider wants to be asked again. */
import type { ResponseHeaders } from "./dialect.ts";

/** Longer waits are not believed; a client that waits this long asks again and is told again. */
export const maxRetryAfterMs = 3_600_000;

/**
 * Milliseconds, 0 to `maxRetryAfterMs`; undefined where the reply does not say or says nonsense. Reads `retry-after-ms`
 * (OpenAI, Azure) and `retry-after` in seconds or as a date (RFC 9110 section 10.2.3); a date is taken relative to the
 * reply's own `date`, so that clocks need not agree. `now` (milliseconds since 1970) counts where there is none.
 */
export function readRetryAfter(headers: ResponseHeaders, now: number = Date.now()): number | undefined {
  const exact = decimal(headers("retry-after-ms"));
  if (exact !== undefined) return clampRetryAfter(exact);
  const value = headers("retry-after")?.trim();
  if (value === undefined || value === "") return undefined;
  const seconds = decimal(value);
  if (seconds !== undefined) return clampRetryAfter(seconds * 1000);
  // An HTTP date begins with the day's name: Date.parse alone would take "-1" for a year.
  if (!/^[A-Za-z]{3,9},? /.test(value)) return undefined;
  const at = Date.parse(value);
  if (Number.isNaN(at)) return undefined;
  const date = Date.parse(headers("date") ?? "");
  return clampRetryAfter(at - (Number.isNaN(date) ? now : date));
}

/** A wait within reason: whole milliseconds, not negative, not above the maximum. */
export function clampRetryAfter(milliseconds: number): number | undefined {
  if (Number.isNaN(milliseconds)) return undefined;
  return Math.min(Math.max(0, Math.ceil(milliseconds)), maxRetryAfterMs);
}

function decimal(value: string | undefined): number | undefined {
  return value !== undefined && /^\d{1,18}(?:\.\d{1,9})?$/.test(value.trim()) ? Number(value) : undefined;
}
