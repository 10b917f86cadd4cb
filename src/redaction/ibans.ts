/** Numbers of bank accounts: a country, two check digits and up to 30 letters and digits, whole or in groups of four (ISO 13616). */
import type { Detector } from "./detector.ts";

const iban = /(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])/g;
/** The shortest is Norway's. */
const minLength = 15;

export const redactIbans: Detector = (text, replace) => text.replace(iban, (found) => (hasCheckDigits(found) ? replace() : found));

/** The remainder by 97 is 1, with the first four characters at the end and letters as numbers from 10 on. */
function hasCheckDigits(found: string): boolean {
  const plain = found.replaceAll(" ", "");
  if (plain.length < minLength) return false;
  let rest = 0;
  for (const character of plain.slice(4) + plain.slice(0, 4)) {
    const value = Number.parseInt(character, 36);
    rest = (rest * (value > 9 ? 100 : 10) + value) % 97;
  }
  return rest === 1;
}
