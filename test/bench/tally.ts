/** What the loads that run in Node share: their settings, the checks of markers, and the count that they print. */
import { markerPattern } from "./answers.ts";
import type { LoadResult, Spread } from "./load-http.ts";

/** Microseconds wrap here in markers. */
const wrap = 1_000_000_000_000;
/** Length of a marker. */
const markerLength = 19;

/** The monotonic clock of the machine, the same in every process, in microseconds. */
export function microseconds(): number {
  return Number(process.hrtime.bigint()) / 1000;
}

/** `key=value` arguments, as load.c takes them. */
export function readSettings(args: readonly string[]): ReadonlyMap<string, string> {
  return new Map(
    args.map((arg) => {
      const at = arg.indexOf("=");
      return [arg.slice(0, at), arg.slice(at + 1)];
    }),
  );
}

export class Tally {
  readonly #began = microseconds();
  readonly #latency: number[] = [];
  readonly #firstByte: number[] = [];
  readonly #chunk: number[] = [];
  #requests = 0;
  #wrong = 0;
  #firstWrong = "";
  #bytes = 0;

  /** Counts an answer; `fault` is empty where it was right. */
  answered(began: number, bytes: number, fault: string): void {
    this.#requests++;
    this.#bytes += bytes;
    if (fault === "") this.#latency.push(microseconds() - began);
    else if (this.#wrong++ === 0) this.#firstWrong = fault.slice(0, 500);
  }

  firstByte(began: number): void {
    this.#firstByte.push(microseconds() - began);
  }

  /** Counts a record that the upstream wrote at `written`, in microseconds of the marker. */
  record(written: number): void {
    const late = (microseconds() % wrap) - written;
    this.#chunk.push(late < 0 ? late + wrap : late);
  }

  print(): void {
    const result: LoadResult = {
      requests: this.#requests,
      wrong: this.#wrong,
      firstWrong: this.#firstWrong,
      seconds: (microseconds() - this.#began) / 1e6,
      bytes: this.#bytes,
      markers: this.#chunk.length,
      latency: spread(this.#latency),
      firstByte: spread(this.#firstByte),
      chunk: spread(this.#chunk),
    };
    console.log(JSON.stringify(result));
  }
}

function spread(values: number[]): Spread {
  const sorted = Float64Array.from(values).sort();
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) };
}

/** Follows the markers of one stream, whose text may be cut anywhere. */
export class MarkerCheck {
  readonly #tally: Tally;
  #rest = "";
  #next = 0;
  #strays = 0;

  constructor(tally: Tally) {
    this.#tally = tally;
  }

  take(text: string): void {
    const all = this.#rest + text;
    for (const match of all.matchAll(markerPattern)) {
      if (Number(match[1]) === this.#next) this.#next++;
      else this.#strays++;
      this.#tally.record(Number(match[2]));
    }
    const open = all.lastIndexOf("~");
    this.#rest = open === -1 || all.length - open >= markerLength ? "" : all.slice(open);
  }

  /** Empty where the markers 0 .. count - 1 were seen once each and in order. */
  fault(count: number): string {
    if (this.#strays === 0 && this.#next === count) return "";
    return `stream markers lost, repeated or out of order: ${this.#next} of ${count} in order, ${this.#strays} others`;
  }
}
