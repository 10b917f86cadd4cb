/** Days and months by a time zone, as instants of UTC (reliability.md 3.11). */

export interface CalendarWindow {
  /** Milliseconds since 1970. */
  readonly startsAt: number;
  readonly endsAt: number;
}

const formats = new Map<string, Intl.DateTimeFormat>();

/** Whether a time zone has this name. */
export function isTimeZone(name: string): boolean {
  try {
    formatOf(name);
    return true;
  } catch {
    return false;
  }
}

/** The last answer for a span and zone: every call with a budget asks for the same day or month. */
const latest = { day: new Map<string, CalendarWindow>(), month: new Map<string, CalendarWindow>() };

/** The day or month that holds an instant. Zones are IANA names; throws RangeError for what is none. */
export function calendarWindow(at: number, span: "day" | "month", timeZone: string): CalendarWindow {
  const known = latest[span].get(timeZone);
  if (known !== undefined && at >= known.startsAt && at < known.endsAt) return known;
  const window = computeWindow(at, span, timeZone);
  latest[span].set(timeZone, window);
  return window;
}

function computeWindow(at: number, span: "day" | "month", timeZone: string): CalendarWindow {
  const { year, month, day } = civilDate(at, timeZone);
  const first = span === "day" ? day : 1;
  const [nextMonth, nextDay] = span === "day" ? [month, day + 1] : [month + 1, 1];
  return { startsAt: instantOf(year, month, first, timeZone), endsAt: instantOf(year, nextMonth, nextDay, timeZone) };
}

interface CivilDate {
  readonly year: number;
  /** From 1. */
  readonly month: number;
  readonly day: number;
}

function civilDate(at: number, timeZone: string): CivilDate {
  const local = new Date(at + offsetAt(at, timeZone));
  return { year: local.getUTCFullYear(), month: local.getUTCMonth() + 1, day: local.getUTCDate() };
}

/** The first instant of a date. Where midnight is skipped, as some zones do when clocks go forward, the first after it. */
function instantOf(year: number, month: number, day: number, timeZone: string): number {
  const local = Date.UTC(year, month - 1, day);
  // Offsets change by the hour at most twice a year, so one of the two around the date is the right one.
  const candidates = [offsetAt(local - dayMs, timeZone), offsetAt(local + dayMs, timeZone)].map((offset) => local - offset);
  const exact = candidates.filter((instant) => instant + offsetAt(instant, timeZone) === local);
  return exact.length > 0 ? Math.min(...exact) : Math.max(...candidates);
}

const dayMs = 86_400_000;

/** Milliseconds that local time is ahead of UTC at an instant. */
function offsetAt(at: number, timeZone: string): number {
  const parts: Record<string, number> = {};
  for (const { type, value } of formatOf(timeZone).formatToParts(at)) parts[type] = Number(value);
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
  return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(at / 1_000) * 1_000;
}

function formatOf(timeZone: string): Intl.DateTimeFormat {
  let format = formats.get(timeZone);
  if (format === undefined) {
    const numeric = "numeric";
    format = new Intl.DateTimeFormat("en-US-u-ca-gregory-nu-latn", {
      timeZone,
      hourCycle: "h23",
      year: numeric,
      month: numeric,
      day: numeric,
      hour: numeric,
      minute: numeric,
      second: numeric,
    });
    formats.set(timeZone, format);
  }
  return format;
}
