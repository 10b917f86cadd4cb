import { expect, test } from "vitest";
import { layOut, writeCount, writeTable } from "../../src/cli/columns.ts";

const columns = [{ title: "NAME", least: 8 }, { title: "N", isNumber: true }, { title: "ID" }];

test("numbers stand at the right, nothing at the end of a line", () => {
  expect(
    writeTable(columns, [
      ["one", "7", "a"],
      ["three", "1,234", ""],
    ]),
  ).toBe("NAME       N  ID\none        7  a\nthree  1,234\n");
});

test("a row that is too wide is cut where it may be, so that it fits 100 columns", () => {
  const text = writeTable(columns, [["n".repeat(90), "12", "i".repeat(26)]]);
  const [head = "", row = ""] = text.split("\n");
  expect(row.length).toBe(100);
  expect(row).toContain("...");
  expect(row).toContain("i".repeat(26));
  expect(head.indexOf("ID")).toBe(row.indexOf("i"));
});

test("what may not be cut is shown whole, however wide", () => {
  expect(writeTable([{ title: "ID" }], [["x".repeat(120)]])).toContain("x".repeat(120));
});

test("columns keep a width for rows to come", () => {
  const line = layOut([{ title: "A", width: 6 }, { title: "B" }], []);
  expect(line(["1", "2"])).toBe("1       2");
});

test("counts have separators", () => expect(writeCount(1_234_567n)).toBe("1,234,567"));
