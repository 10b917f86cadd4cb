/** Numbers of payment cards: 13 to 19 digits, alone or in groups, whose check digit is right (ISO/IEC 7812-1, Luhn). */
import type { Detector } from "./detector.ts";

/** Digits with at most one space or hyphen between them: what may hold a card, with an expiry date or a code beside it. */
const digitRuns = /\d(?:[ -]?\d){12,}/g;
const minDigits = 13;
const maxDigits = 19;

/** Milliseconds, microseconds or nanoseconds since 1970, of the years 2001 to 2033; no card of these lengths begins with 1. */
const moment = /^1\d{12}(?:\d{3}){0,2}$/;
/** What stands around a run in a UUID or a digest. */
const hexBefore = /[0-9a-f-]{0,64}$/i;
const hexAfter = /^[0-9a-f-]{0,64}/i;
/** Digits of the shortest: a UUID, MD5. */
const minHexDigits = 32;

export const redactCards: Detector = (text, replace) =>
  text.replace(digitRuns, (run, at: number) => (moment.test(run) || isPartOfHex(text, run, at) ? run : redactRun(run, replace)));

/** A letter on either side, and as many hexadecimal digits as an identifier has. */
function isPartOfHex(text: string, run: string, at: number): boolean {
  const end = at + run.length;
  const [before = ""] = hexBefore.exec(text.slice(Math.max(0, at - 64), at)) ?? [];
  const [after = ""] = hexAfter.exec(text.slice(end, end + 64)) ?? [];
  const around = before + after;
  return /[a-f]/i.test(around) && (around + run).replaceAll(/[^0-9a-f]/gi, "").length >= minHexDigits;
}

function redactRun(run: string, replace: () => string): string {
  /** Where each digit of the run stands. */
  const places: number[] = [];
  for (let at = 0; at < run.length; at++) if (isDigit(run, at)) places.push(at);
  let clean = "";
  let copied = 0;
  for (let first = 0; first + minDigits <= places.length; first++) {
    const start = places[first] as number;
    if (start < copied || isDigit(run, start - 1)) continue;
    const last = endOfCard(run, places, first);
    if (last === undefined) continue;
    clean += run.slice(copied, start) + replace();
    copied = (places[last] as number) + 1;
  }
  return copied === 0 ? run : clean + run.slice(copied);
}

/** Index of the last digit of a card that begins at `first`: the longest that ends with a group. */
function endOfCard(run: string, places: readonly number[], first: number): number | undefined {
  for (let last = Math.min(first + maxDigits, places.length) - 1; last >= first + minDigits - 1; last--) {
    if (!isDigit(run, (places[last] as number) + 1) && hasCheckDigit(run, places, first, last)) return last;
  }
  return undefined;
}

function hasCheckDigit(run: string, places: readonly number[], first: number, last: number): boolean {
  let sum = 0;
  for (let at = last; at >= first; at--) {
    const digit = run.charCodeAt(places[at] as number) - zero;
    const doubled = (last - at) % 2 === 1 ? digit * 2 : digit;
    sum += doubled > 9 ? doubled - 9 : doubled;
  }
  // Nothing but zeros has the check digit 0 too.
  return sum > 0 && sum % 10 === 0;
}

const zero = 48;

function isDigit(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return code >= zero && code <= zero + 9;
}
