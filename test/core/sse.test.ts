import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Frame, SseReader } from "../../src/core/sse.ts";

function readAll(...chunks: (string | Uint8Array)[]): Frame[] {
  const reader = new SseReader();
  return chunks.flatMap((chunk) => reader.read(typeof chunk === "string" ? Buffer.from(chunk) : chunk));
}

const stream =
  '\ufeff: hello\r\nevent: a\r\ndata: {"text":"über 日本 🎉"}\r\n\r\ndata:one\ndata: two\n\rid: 5\rdata\r\rretry: 10\n\ndata: last\n\n' +
  "data: cut off";

const frames: Frame[] = [
  { event: "a", data: '{"text":"über 日本 🎉"}' },
  { event: "", data: "one\ntwo" },
  { event: "", data: "" },
  { event: "", data: "last" },
];

describe("SseReader", () => {
  test("reads LF, CR, CRLF, comments, byte order mark, multi-line data and empty data", () => {
    expect(readAll(stream)).toEqual(frames);
  });

  test("gives the same frames for every cut, inside characters and line ends too", () => {
    const bytes = Buffer.from(stream);
    for (let cut = 1; cut < bytes.length; cut++) expect(readAll(bytes.subarray(0, cut), bytes.subarray(cut))).toEqual(frames);
    expect(readAll(...[...bytes].map((byte) => Uint8Array.of(byte)))).toEqual(frames);
  });

  test("records put together are the bytes that came, for every cut", () => {
    const bytes = Buffer.from(`${stream}\n\n: ping\n\n`);
    for (let cut = 0; cut <= bytes.length; cut++) {
      const reader = new SseReader();
      const records = [bytes.subarray(0, cut), bytes.subarray(cut)].flatMap((chunk) => reader.readRecords(chunk));
      expect(records.map(({ source }) => source).join("")).toBe(bytes.toString());
      expect(records.flatMap(({ frame }) => frame ?? [])).toEqual([...frames, { event: "", data: "cut off" }]);
      expect(reader.isBetweenRecords).toBe(true);
    }
  });

  test("a comment of its own is a record at once; half a record or half a character is none", () => {
    const reader = new SseReader();
    expect(reader.readRecords(Buffer.from(": ping\n\n"))).toEqual([{ frame: undefined, source: ": ping\n\n" }]);
    expect(reader.isBetweenRecords).toBe(true);
    expect(reader.readRecords(Buffer.from("data: a\n"))).toEqual([]);
    expect(reader.isBetweenRecords).toBe(false);
    expect(reader.readRecords(Buffer.from("\n"))).toEqual([{ frame: { event: "", data: "a" }, source: "data: a\n\n" }]);
    reader.readRecords(Uint8Array.of(0xc3));
    expect(reader.isBetweenRecords).toBe(false);
  });

  test("comments of a record that never ends are not kept for ever", () => {
    const reader = new SseReader();
    const comment = Buffer.from(`: ${"x".repeat(4 << 20)}\n`);
    expect(() => {
      for (let count = 0; count < 10; count++) reader.readRecords(comment);
    }).toThrow("longer than 16777216 characters");
  });

  test("any text survives any chunking", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "grapheme" })), fc.array(fc.nat({ max: 40 })), (texts, cuts) => {
        const clean = texts.map((text) => text.replace(/[\r\n]/g, " "));
        const bytes = Buffer.from(clean.map((text) => `data: ${text}\n\n`).join(""));
        const chunks: Uint8Array[] = [];
        let start = 0;
        for (const length of cuts) {
          chunks.push(bytes.subarray(start, start + length));
          start += length;
        }
        chunks.push(bytes.subarray(start));
        expect(readAll(...chunks).map(({ data }) => data)).toEqual(clean);
      }),
    );
  });

  test("an event line after the data of another frame does not leak into the next", () => {
    expect(readAll("event: x\n\ndata: 1\n\n")).toEqual([{ event: "", data: "1" }]);
  });

  test.each([
    ["bytes that are no UTF-8", [Uint8Array.of(0x64, 0xff, 0x0a)], "is not UTF-8"],
    ["a line longer than the limit", ["data: ".padEnd((16 << 20) + 10, "x")], "longer than 16777216 characters"],
    ["many data lines", ["data:\n".repeat(10_001)], "more than 10000 lines"],
    ["a flood of comments", [":\n".repeat(10_001)], "more than 10000 lines"],
  ])("refuses %s", (_, chunks, message) => {
    expect(() => readAll(...chunks)).toThrow(message);
  });
});
