/** Short texts of long ones, redacted before they are cut: half of a key looks like no key. */
import type { SensitiveKind } from "../core/redactor.ts";

/** Redacts text, and counts what was found. */
export type Redact = (text: string, kinds?: readonly SensitiveKind[]) => string;

/** Characters of a summary (surfaces.md U13). */
const summaryLength = 256;
/** What is read beyond the place of the cut, for keys that stand on it; the end of what was read is left out with half of them. */
const beyond = 4_096;
const leftOut = 2_048;

/** Characters of a text that a summary looks at. */
export const summaryWindow = summaryLength + beyond;

export function summarise(text: string, redact: Redact): string {
  return redactStart(text, summaryLength, redact);
}

/** The first `length` characters of a text after redaction, or fewer; takes time for those alone. */
export function redactStart(text: string, length: number, redact: Redact): string {
  const window = length + beyond;
  if (text.length <= window) return cut(redact(text), length);
  const clean = redact(text.slice(0, window));
  return cut(clean, Math.min(length, Math.max(0, clean.length - leftOut)));
}

/** Never in the middle of a character. */
function cut(text: string, length: number): string {
  if (text.length <= length) return text;
  const code = text.charCodeAt(length - 1);
  return text.slice(0, code >= 0xd800 && code < 0xdc00 ? length - 1 : length);
}
