/** Identifiers the gateway makes. */
import { randomFillSync } from "node:crypto";

const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const random = new Uint8Array(4096);
let used = random.length;

/** A ULID: 26 characters of Crockford base 32, 48 bits of time in milliseconds and 80 random bits; they sort by time. */
export function ulid(now: number = Date.now()): string {
  if (used + 16 > random.length) {
    randomFillSync(random);
    used = 0;
  }
  let id = "";
  for (let time = now, digit = 0; digit < 10; digit++, time = Math.floor(time / 32)) id = alphabet[time % 32] + id;
  for (let digit = 0; digit < 16; digit++) id += alphabet[(random[used++] as number) & 31];
  return id;
}
