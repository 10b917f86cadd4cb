/** Money is a bigint of nano-dollars (10^-9 US dollars); people read and write decimal dollars. No float anywhere. */

const decimals = 9;
/** Digits that are shown (surfaces.md 2.5). */
const shownDecimals = 8;

/**
 * Decimal dollars as nano-dollars: `"0.075"` is 75 000 000. What is finer than a nano-dollar is rounded to the nearest,
 * halves up. Undefined where the text is no such number: digits, at most one point, at most an exponent, no sign.
 */
export function readDollars(text: string): bigint | undefined {
  const match = /^(\d{1,12})(?:\.(\d{1,30}))?(?:e([+-]?\d{1,2}))?$/.exec(text);
  if (match === null) return undefined;
  const [, whole = "0", fraction = "", exponent = "0"] = match;
  const digits = BigInt(whole + fraction);
  const shift = decimals + Number(exponent) - fraction.length;
  if (shift >= 0) return digits * 10n ** BigInt(shift);
  const divisor = 10n ** BigInt(-shift);
  return (digits + divisor / 2n) / divisor;
}

/** Plain decimal dollars with at most 8 digits after the point, rounded to the nearest, halves up: `0.00001235`. Not negative. */
export function writeDollars(nano: bigint): string {
  const unit = 10n ** BigInt(decimals - shownDecimals);
  const shown = (nano + unit / 2n) / unit;
  const text = String(shown).padStart(shownDecimals + 1, "0");
  const fraction = text.slice(-shownDecimals).replace(/(?<!0)0+$/, "");
  const whole = text.slice(0, -shownDecimals);
  return fraction === "" ? whole : `${whole}.${fraction}`;
}

/** The same without rounding: up to 9 digits, so that reading it again gives the same amount. */
export function writeExactDollars(nano: bigint): string {
  const text = String(nano).padStart(decimals + 1, "0");
  const fraction = text.slice(-decimals).replace(/(?<!0)0+$/, "");
  const whole = text.slice(0, -decimals);
  return fraction === "" ? whole : `${whole}.${fraction}`;
}
