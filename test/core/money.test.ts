import fc from "fast-check";
import { expect, test } from "vitest";
import { readDollars, writeDollars, writeExactDollars } from "../../src/core/money.ts";

test.each([
  ["0", 0n],
  ["1", 1_000_000_000n],
  ["0.075", 75_000_000n],
  ["0.1", 100_000_000n],
  ["123456789012.000000001", 123_456_789_012_000_000_001n],
  ["1e-7", 100n],
  ["2.5e3", 2_500_000_000_000n],
  ["0.0000000004", 0n],
  ["0.0000000005", 1n],
  ["0.08333333333333334", 83_333_333n],
])("%s dollars", (text, nano) => {
  expect(readDollars(text)).toBe(nano);
});

test.each(["", "-1", "+1", ".5", "1.", "1,5", "0x10", "NaN", "Infinity", " 1", "1e999", "$1"])("%j is no amount", (text) => {
  expect(readDollars(text)).toBeUndefined();
});

test("what is written can be read again", () => {
  fc.assert(fc.property(fc.bigInt({ min: 0n, max: 10n ** 20n }), (nano) => readDollars(writeExactDollars(nano)) === nano));
});

test.each([
  [0n, "0"],
  [1n, "0"],
  [5n, "0.00000001"],
  [12_345n, "0.00001235"],
  [1_000_000_000n, "1"],
  [1_500_000_000n, "1.5"],
  [999_999_999n, "1"],
])("%d nano-dollars are shown with at most 8 digits: %s", (nano, text) => {
  expect(writeDollars(nano)).toBe(text);
});
