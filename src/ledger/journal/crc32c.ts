/** CRC-32C (Castagnoli), as in RFC 3720 appendix B.4: finds torn and flipped bytes in journal records. */

/** Signed, so that every value is a machine integer; one table for each of four bytes that are taken at once. */
const [first, second, third, fourth] = makeTables();

function makeTables(): readonly [Int32Array, Int32Array, Int32Array, Int32Array] {
  const tables = [new Int32Array(256), new Int32Array(256), new Int32Array(256), new Int32Array(256)] as const;
  for (let byte = 0; byte < 256; byte++) {
    let value = byte;
    for (const table of tables) {
      for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
      table[byte] = value;
    }
  }
  return tables;
}

export function crc32c(bytes: Uint8Array, from = 0, until: number = bytes.length): number {
  let crc = -1;
  let at = from;
  for (; at + 4 <= until; at += 4) {
    const word =
      crc ^
      ((bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 24));
    crc =
      (fourth[word & 0xff] as number) ^
      (third[(word >>> 8) & 0xff] as number) ^
      (second[(word >>> 16) & 0xff] as number) ^
      (first[word >>> 24] as number);
  }
  for (; at < until; at++) crc = (first[(crc ^ (bytes[at] as number)) & 0xff] as number) ^ (crc >>> 8);
  return ~crc >>> 0;
}
