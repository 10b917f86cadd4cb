/** Frames of Chat Completions and Responses as JSON. */
import { type JsonValue, parseJson, upstreamJsonLimits } from "./json.ts";

/** What JSON.parse would not keep as it is: long numbers, and keys that JavaScript sorts before others. */
const hazards = /\d{16}|"\d+"\s*:/;
/** Longer frames may nest deeper than a recursive writer can follow. */
const maxPlainLength = 4096;

/** Most frames are short and plain, and JSON.parse is several times faster; undefined where the text is not JSON. */
export function readFrame(text: string): JsonValue | undefined {
  try {
    if (text.length <= maxPlainLength && !hazards.test(text)) return JSON.parse(text) as JsonValue;
    return parseJson(text, upstreamJsonLimits);
  } catch {
    return undefined;
  }
}
