/**
 * Vectors of the simulated upstream: a seeded hash of the text, spread over a unit sphere. The same text always gives
 * the same vector and different texts nearly orthogonal ones; nearness means nothing.
 */
import { createHash } from "node:crypto";

const defaultDimensions = 256;
export const maxDimensions = 4096;

/** A vector of length 1, as float32 numbers. */
export function vectorOf(text: string, dimensions: number = defaultDimensions): number[] {
  const seed = createHash("sha256").update("sim-embed\n").update(text).digest();
  const next = seededNumbers(seed.readUInt32LE(0), seed.readUInt32LE(4), seed.readUInt32LE(8), seed.readUInt32LE(12));
  const values = Array.from({ length: dimensions }, () => next() - 0.5);
  const length = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0)) || 1;
  return values.map((value) => Math.fround(value / length));
}

/** Little-endian float32, as base64 renderings of vectors carry them. */
export function vectorBytes(values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [index, value] of values.entries()) bytes.writeFloatLE(value, index * 4);
  return bytes;
}

/** sfc32 (PractRand): numbers in [0, 1) from 128 bits of seed. */
function seededNumbers(first: number, second: number, third: number, counter: number): () => number {
  let [a, b, c, d] = [first | 0, second | 0, third | 0, counter | 0];
  return () => {
    const sum = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + sum) | 0;
    return (sum >>> 0) / 4294967296;
  };
}
