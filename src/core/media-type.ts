/** What bytes are by their first bytes: clients often name the wrong media type, and most vendors refuse that. */

const png = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const jpeg = [0xff, 0xd8, 0xff];

/**
 * The media type of a PNG, JPEG, GIF, WebP, PDF, WAV or MP3; undefined for anything else.
 * Signatures: https://www.iana.org/assignments/media-types and the formats' own specifications.
 */
export function sniffMediaType(bytes: Uint8Array): string | undefined {
  if (startsWith(bytes, png)) return "image/png";
  if (startsWith(bytes, jpeg)) return "image/jpeg";
  if (hasText(bytes, 0, "GIF87a") || hasText(bytes, 0, "GIF89a")) return "image/gif";
  if (hasText(bytes, 0, "RIFF")) {
    if (hasText(bytes, 8, "WEBP")) return "image/webp";
    if (hasText(bytes, 8, "WAVE")) return "audio/wav";
    return undefined;
  }
  if (hasText(bytes, 0, "%PDF-")) return "application/pdf";
  if (hasText(bytes, 0, "ID3") || isMpegLayer3(bytes)) return "audio/mpeg";
  return undefined;
}

function startsWith(bytes: Uint8Array, signature: readonly number[]): boolean {
  return bytes.length >= signature.length && signature.every((byte, index) => bytes[index] === byte);
}

function hasText(bytes: Uint8Array, at: number, text: string): boolean {
  if (bytes.length < at + text.length) return false;
  for (let index = 0; index < text.length; index++) if (bytes[at + index] !== text.charCodeAt(index)) return false;
  return true;
}

/** A frame header of MPEG layer III (ISO 11172-3, 2.4.2.3): sync bits, a known version, layer, bit rate and sample rate. */
function isMpegLayer3(bytes: Uint8Array): boolean {
  const [first, second, third] = bytes;
  if (first !== 0xff || second === undefined || third === undefined) return false;
  const isLayer3 = (second & 0xe6) === 0xe2 && (second & 0x18) !== 0x08;
  return isLayer3 && third >> 4 !== 0xf && (third & 0x0c) !== 0x0c;
}
