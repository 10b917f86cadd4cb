import { expect, test } from "vitest";
import { writeCsvLine } from "../../src/cli/write-csv.ts";

test.each([
  [["a", "b c", ""], "a,b c,\r\n"],
  [['say "no"', "one,two", "two\nlines"], '"say ""no""","one,two","two\nlines"\r\n'],
])("%j", (cells, line) => {
  expect(writeCsvLine(cells)).toBe(line);
});
