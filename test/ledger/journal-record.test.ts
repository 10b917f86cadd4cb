import { describe, expect, test } from "vitest";
import { crc32c } from "../../src/ledger/journal/crc32c.ts";
import { readRecord, writeRecord } from "../../src/ledger/journal/record.ts";
import { intentOf, settlementOf } from "./rows.ts";

describe("CRC-32C", () => {
  // RFC 3720, appendix B.4.
  test.each([
    ["32 zeros", new Uint8Array(32), 0x8a9136aa],
    ["32 ones", new Uint8Array(32).fill(0xff), 0x62a8ab43],
    ["rising bytes", Uint8Array.from({ length: 32 }, (_, index) => index), 0x46dd794e],
    ["digits", Buffer.from("123456789"), 0xe3069283],
  ])("%s", (_, bytes, sum) => {
    expect(crc32c(bytes)).toBe(sum);
  });
});

describe("journal records", () => {
  const intent = intentOf();
  test.each([
    { is: "header", header: { version: 1, epoch: "e", number: 2, previous: { bytes: 99, sha256: "ab" } } } as const,
    { is: "intent", intent } as const,
    { is: "checkpoint", checkpoint: { usageId: intent.usageId, inputTokens: 3, outputTokens: 1_000, at: 5 } } as const,
    { is: "settlement", settlement: settlementOf(intent.usageId) } as const,
    {
      is: "settlement",
      settlement: settlementOf(intent.usageId, { usage: undefined, costNano: undefined, chargeNano: 0n, firstContentMs: undefined }),
    } as const,
  ])("$is reads as it was written", (record) => {
    const bytes = writeRecord(record);
    const found = readRecord(Buffer.concat([Buffer.from("before"), bytes, Buffer.from("after")]), 6);
    expect(found?.record).toEqual(record);
    expect(found?.end).toBe(6 + bytes.length);
  });

  test("any byte that is cut off or flipped is noticed", () => {
    const bytes = writeRecord({ is: "intent", intent });
    for (let length = 0; length < bytes.length; length++) expect(readRecord(bytes.subarray(0, length), 0)).toBeUndefined();
    for (let at = 0; at < bytes.length; at++) {
      const broken = Buffer.from(bytes);
      broken[at] = (broken[at] as number) ^ 0x10;
      expect(readRecord(broken, 0)).toBeUndefined();
    }
  });

  test("zeros are no record", () => {
    expect(readRecord(Buffer.alloc(100), 0)).toBeUndefined();
  });
});
