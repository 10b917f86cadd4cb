/**
 * Tries regular expressions on texts that make bad ones slow, in a thread that can be ended: nothing else stops an
 * expression that takes for ever. `progress[0]` is the number of the one that is tried.
 */
import { parentPort, workerData } from "node:worker_threads";

export interface PatternTrial {
  readonly patterns: readonly { readonly source: string; readonly flags: string }[];
  readonly progress: SharedArrayBuffer;
}

export interface SlowPattern {
  readonly index: number;
  /** The least of several tries, milliseconds. */
  readonly ms: number;
  readonly text: string;
}

/** Expressions that look at each character a few times need less than a hundredth of `mostMs` for so many. */
const length = 40_000;
const mostMs = 100;
const tries = 4;

const characters = [..."aA0 \t\n-_./\\\"'{}[]()<>=@:;,+*#%&~|$^!é\u3000\ud83d"];
const pairs = [
  ...["ab", "a0", "0.", "a.", "a-", "a_", "a ", "0-", "0 ", "0:", "0,", "0a", "A0", "aA0", "a@", "a.a@", "a=", "=a", "a:", "a,", "a/"],
  ...["\n ", "\r\n", '\\"', '"a', "<a", "<>", "[]", "({", '{"', "&a;", "; ", "://", "\\u", "%20", "a\u0301"],
];

const { patterns, progress } = workerData as PatternTrial;
const counter = new Int32Array(progress);
for (const [index, { source, flags }] of patterns.entries()) {
  counter[0] = index;
  const slow = findSlow(new RegExp(source, flags.replace(/[gy]/g, "")), source);
  if (slow !== undefined) parentPort?.postMessage({ index, ...slow } satisfies SlowPattern);
}

function findSlow(pattern: RegExp, source: string): { ms: number; text: string } | undefined {
  const words = [...new Set(Array.from(source.matchAll(/[A-Za-z0-9_ -]{2,}/g), ([word]) => word))].slice(0, 6);
  const pumps = [...characters, ...pairs, ...words.flatMap((word) => ["", " ", "=", '"'].map((end) => word + end))];
  for (const pump of pumps) {
    const body = pump.repeat(Math.ceil(length / pump.length));
    for (const before of ["", "a", '"', ...words.slice(0, 2)]) {
      for (const after of ["\0", ""]) {
        const ms = timeOf(pattern, before + body + after);
        if (ms > mostMs) return { ms, text: `${JSON.stringify(before)} ${JSON.stringify(pump)}... ${JSON.stringify(after)}` };
      }
    }
  }
  return undefined;
}

/** Pauses of a busy machine are longer than `mostMs`; they do not come every time. */
function timeOf(pattern: RegExp, text: string): number {
  let least = Number.POSITIVE_INFINITY;
  for (let left = tries; left > 0 && least > mostMs; left--) {
    const begin = performance.now();
    pattern.test(text);
    least = Math.min(least, performance.now() - begin);
  }
  return least;
}
