/** google.protobuf.Timestamp and Duration, and the milliseconds of the records. */
import { create } from "@bufbuild/protobuf";
import { type Duration, type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";

/** From milliseconds since 1970; undefined stays undefined. */
export function writeTime(ms: number): Timestamp;
export function writeTime(ms: number | undefined): Timestamp | undefined;
export function writeTime(ms: number | undefined): Timestamp | undefined {
  if (ms === undefined) return undefined;
  const seconds = Math.floor(ms / 1_000);
  return create(TimestampSchema, { seconds: BigInt(seconds), nanos: Math.round((ms - seconds * 1_000) * 1_000_000) });
}

/** To whole milliseconds since 1970; undefined stays undefined. */
export function readTime(time: Timestamp | undefined): number | undefined {
  return time === undefined ? undefined : Number(time.seconds) * 1_000 + Math.floor(time.nanos / 1_000_000);
}

/** To milliseconds. */
export function readSpan(span: Duration): number {
  return Number(span.seconds) * 1_000 + Math.floor(span.nanos / 1_000_000);
}
