/** Vectors on the wire: base64 of little-endian float32, or numbers. */
import type { JsonValue } from "../../core/json.ts";

const bytesPerValue = 4;
/** Typed arrays have the machine's byte order. */
const isLittleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** Undefined where the text is not base64 of whole float32 values. */
function decodeVector(base64: string): number[] | undefined {
  const bytes = Buffer.from(base64, "base64");
  if (bytes.length === 0 || bytes.length % bytesPerValue !== 0 || !isBase64Of(base64, bytes.length)) return undefined;
  if (!isLittleEndian) bytes.swap32();
  // A view must begin at a multiple of 4, which Node's pooled buffers need not.
  const aligned = bytes.byteOffset % bytesPerValue === 0 ? bytes : new Uint8Array(bytes);
  return Array.from(new Float32Array(aligned.buffer, aligned.byteOffset, bytes.length / bytesPerValue));
}

/** Node skips what is not base64: the length shows whether it did. */
function isBase64Of(text: string, length: number): boolean {
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  return Math.floor(((text.length - padding) * 3) / 4) === length;
}

/** Values as float32, which is what the contract holds. */
export function encodeVector(values: readonly number[]): string {
  const floats = Float32Array.from(values);
  const bytes = Buffer.from(floats.buffer);
  if (!isLittleEndian) bytes.swap32();
  return bytes.toString("base64");
}

/** A vector in either form; undefined where it is neither. */
export function readVector(value: JsonValue | undefined): number[] | undefined {
  if (typeof value === "string") return decodeVector(value);
  if (!Array.isArray(value) || value.length === 0) return undefined;
  if (value.every((entry): entry is number => typeof entry === "number")) return value;
  // Integers beyond 2^53 are read as bigint.
  return value.every((entry) => typeof entry === "number" || typeof entry === "bigint") ? value.map(Number) : undefined;
}
