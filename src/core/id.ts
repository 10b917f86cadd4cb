/** Identifiers the gateway makes. */
import { randomFillSync } from "node:crypto";

const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const random = new Uint8Array(4096);
let used = random.length;
/** Where the characters of the next one are put together: joined one by one they would be 25 strings before they are one. */
const codes = Buffer.alloc(26);

/** A ULID: 26 characters of Crockford base 32, 48 bits of time in milliseconds and 80 random bits; they sort by time. */
export function ulid(now: number = Date.now()): string {
  if (used + 16 > random.length) {
    randomFillSync(random);
    used = 0;
  }
  for (let time = now, digit = 9; digit >= 0; digit--, time = Math.floor(time / 32)) codes[digit] = alphabet.charCodeAt(time % 32);
  for (let digit = 10; digit < 26; digit++) codes[digit] = alphabet.charCodeAt((random[used++] as number) & 31);
  return codes.toString("latin1");
}
