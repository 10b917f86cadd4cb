/** CRC-32C (Castagnoli), as in RFC 3720 appendix B.4: finds torn and flipped bytes in journal records. */
const table = makeTable();

function makeTable(): Uint32Array {
  const made = new Uint32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let value = byte;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
    made[byte] = value >>> 0;
  }
  return made;
}

export function crc32c(bytes: Uint8Array, from = 0, until: number = bytes.length): number {
  let crc = 0xffffffff;
  for (let at = from; at < until; at++) crc = (table[(crc ^ (bytes[at] as number)) & 0xff] as number) ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}
