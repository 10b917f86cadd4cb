/**
 * Quantiles of spans in bounded memory: counts in buckets whose bounds grow by 2 %, so that every answer is within 1 % of a
 * value that was measured (the scheme of DDSketch, https://arxiv.org/abs/1908.10693). Sketches of several processes add up.
 */

/** Bucket `i` holds what lies above growth^(i-1) and up to growth^i. */
const growth = 1.02;
const logGrowth = Math.log(growth);
/** Milliseconds; what lies outside counts as these. */
const least = 0.01;
const most = 3_600_000;
const firstBucket = bucketOf(least);
const buckets = bucketOf(most) - firstBucket + 1;

/** What one process measured, as it travels to another: pairs of bucket and count. */
export interface SketchCounts {
  readonly pairs: readonly (readonly [bucket: number, count: number])[];
}

export class LatencySketch {
  readonly #counts = new Uint32Array(buckets);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  add(ms: number): void {
    const index = bucketOf(Math.min(most, Math.max(least, ms))) - firstBucket;
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#count++;
  }

  /** The value below which the share `q` (0 to 1) of all lies, in milliseconds; undefined where there are none. */
  quantile(q: number): number | undefined {
    if (this.#count === 0) return undefined;
    const rank = Math.max(1, Math.ceil(q * this.#count));
    let seen = 0;
    for (let index = 0; index < buckets; index++) {
      seen += this.#counts[index] ?? 0;
      if (seen >= rank) return middleOf(index + firstBucket);
    }
    return middleOf(firstBucket + buckets - 1);
  }

  toCounts(): SketchCounts {
    const pairs: [number, number][] = [];
    for (const [bucket, count] of this.#counts.entries()) if (count > 0) pairs.push([bucket, count]);
    return { pairs };
  }

  addCounts({ pairs }: SketchCounts): void {
    for (const [bucket, count] of pairs) {
      this.#counts[bucket] = (this.#counts[bucket] ?? 0) + count;
      this.#count += count;
    }
  }
}

function bucketOf(ms: number): number {
  return Math.ceil(Math.log(ms) / logGrowth);
}

/** The value that is equally far, in proportion, from both ends of the bucket. */
function middleOf(bucket: number): number {
  return (2 * growth ** bucket) / (growth + 1);
}
