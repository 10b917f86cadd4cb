import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { calendarWindow, isTimeZone } from "../../src/limits/calendar.ts";

const at = (text: string) => Date.parse(text);
const iso = ({ startsAt, endsAt }: { startsAt: number; endsAt: number }) => [
  new Date(startsAt).toISOString(),
  new Date(endsAt).toISOString(),
];

describe("calendarWindow", () => {
  test.each([
    ["2026-03-14T12:00:00Z", "day", "UTC", "2026-03-14T00:00:00.000Z", "2026-03-15T00:00:00.000Z"],
    ["2026-12-31T23:30:00Z", "month", "UTC", "2026-12-01T00:00:00.000Z", "2027-01-01T00:00:00.000Z"],
    ["2026-12-31T23:30:00Z", "month", "Europe/Berlin", "2026-12-31T23:00:00.000Z", "2027-01-31T23:00:00.000Z"],
    // The day on which the clocks go forward has 23 hours, the one on which they go back 25.
    ["2026-03-29T12:00:00Z", "day", "Europe/Berlin", "2026-03-28T23:00:00.000Z", "2026-03-29T22:00:00.000Z"],
    ["2026-10-25T12:00:00Z", "day", "Europe/Berlin", "2026-10-24T22:00:00.000Z", "2026-10-25T23:00:00.000Z"],
    ["2026-03-14T12:00:00Z", "day", "Asia/Kolkata", "2026-03-13T18:30:00.000Z", "2026-03-14T18:30:00.000Z"],
    ["2026-03-14T12:00:00Z", "day", "Pacific/Kiritimati", "2026-03-14T10:00:00.000Z", "2026-03-15T10:00:00.000Z"],
  ] as const)("%s, %s in %s", (instant, span, zone, from, until) => {
    expect(iso(calendarWindow(at(instant), span, zone))).toEqual([from, until]);
  });

  test("holds its instant, and the next window begins where it ends", () => {
    const zones = fc.constantFrom("UTC", "America/New_York", "Asia/Beirut", "America/Santiago", "Australia/Lord_Howe", "Africa/Cairo");
    const instants = fc.integer({ min: at("2020-01-01"), max: at("2030-01-01") });
    fc.assert(
      fc.property(instants, zones, fc.constantFrom("day", "month"), (instant, zone, span) => {
        const { startsAt, endsAt } = calendarWindow(instant, span, zone);
        expect(startsAt).toBeLessThanOrEqual(instant);
        expect(endsAt).toBeGreaterThan(instant);
        expect(calendarWindow(endsAt, span, zone).startsAt).toBe(endsAt);
      }),
    );
  });

  test("knows zones by their names", () => {
    expect([isTimeZone("Europe/Berlin"), isTimeZone("Mars/Olympus")]).toEqual([true, false]);
  });
});
