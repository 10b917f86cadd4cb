/** Times as commands take them. */
import { type Timestamp, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { UsageError } from "./command.ts";

const hourMs = 3_600_000;
const units: Readonly<Record<string, number>> = { m: hourMs / 60, h: hourMs, d: 24 * hourMs };

/** A date, a time in RFC 3339, or a span back from now: `30m`, `24h`, `7d`. Throws UsageError. */
export function readTime(text: string, option: string, command: string): Timestamp {
  const span = /^(\d{1,6})([mhd])$/.exec(text);
  const at = span === null ? Date.parse(text) : Date.now() - Number(span[1]) * (units[span[2] ?? ""] ?? 0);
  if (Number.isFinite(at) && at > 0) return timestampFromMs(at);
  throw new UsageError(`--${option}: "${text}" is no time; write 2027-01-31, 2027-01-31T12:00:00Z, or 24h for a day ago`, command);
}
