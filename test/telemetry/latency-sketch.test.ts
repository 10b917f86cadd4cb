import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LatencySketch } from "../../src/telemetry/latency-sketch.ts";

/** The value at a rank, by sorting. */
function exact(values: readonly number[], q: number): number {
  const sorted = [...values].sort((left, right) => left - right);
  return sorted[Math.max(1, Math.ceil(q * sorted.length)) - 1] as number;
}

const spans = fc.array(fc.double({ min: 0.02, max: 3_000_000, noNaN: true }), { minLength: 1, maxLength: 200 });

describe("latency sketch", () => {
  test("every quantile is within 1 % of a measured value of that rank", () => {
    fc.assert(
      fc.property(spans, fc.double({ min: 0, max: 1, noNaN: true }), (values, q) => {
        const sketch = new LatencySketch();
        for (const value of values) sketch.add(value);
        const wanted = exact(values, q);
        expect(Math.abs((sketch.quantile(q) as number) - wanted)).toBeLessThanOrEqual(wanted * 0.0101);
      }),
    );
  });

  test("sketches of several processes add up to the sketch of all", () => {
    fc.assert(
      fc.property(spans, spans, (left, right) => {
        const [together, other, all] = [new LatencySketch(), new LatencySketch(), new LatencySketch()];
        for (const value of left) together.add(value);
        for (const value of right) other.add(value);
        for (const value of [...left, ...right]) all.add(value);
        together.addCounts(structuredClone(other.toCounts()));
        expect(together.count).toBe(all.count);
        expect(together.quantile(0.9)).toBe(all.quantile(0.9));
      }),
    );
  });

  test("what lies outside the range counts as its end, and nothing measured is nothing", () => {
    const sketch = new LatencySketch();
    expect(sketch.quantile(0.5)).toBeUndefined();
    sketch.add(0);
    sketch.add(1e12);
    expect(sketch.count).toBe(2);
    expect(sketch.quantile(0)).toBeLessThan(0.02);
    expect(sketch.quantile(1)).toBeGreaterThan(3_500_000);
  });
});
