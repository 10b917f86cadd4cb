/** google.protobuf.Timestamp and Duration, and the milliseconds of the records. */
import { create } from "@bufbuild/protobuf";
import { type Duration, type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";
import { GatewayError } from "../../core/error.ts";

/** From milliseconds since 1970; undefined stays undefined. */
export function writeTime(ms: number): Timestamp;
export function writeTime(ms: number | undefined): Timestamp | undefined;
export function writeTime(ms: number | undefined): Timestamp | undefined {
  if (ms === undefined) return undefined;
  const seconds = Math.floor(ms / 1_000);
  return create(TimestampSchema, { seconds: BigInt(seconds), nanos: Math.round((ms - seconds * 1_000) * 1_000_000) });
}

/** Years 1 to 9999: others have no JSON form (google/protobuf/timestamp.proto), so that who stored one could never list it again. */
const firstSecond = -62_135_596_800n;
const lastSecond = 253_402_300_799n;

/** To whole milliseconds since 1970; undefined stays undefined. Throws invalid_request for what is no time of the calendar. */
export function readTime(time: Timestamp | undefined): number | undefined {
  if (time === undefined) return undefined;
  const { seconds, nanos } = time;
  if (seconds < firstSecond || seconds > lastSecond || nanos < 0 || nanos > 999_999_999) {
    throw new GatewayError("invalid_request", "a time of the request is outside the years 1 to 9999");
  }
  return Number(seconds) * 1_000 + Math.floor(nanos / 1_000_000);
}

/** To milliseconds. */
export function readSpan(span: Duration): number {
  return Number(span.seconds) * 1_000 + Math.floor(span.nanos / 1_000_000);
}
