/**
 * Records of a journal segment: length of the payload (4 bytes), CRC-32C of type and payload (4 bytes), type (1 byte),
 * payload (a JSON object). Numbers are little-endian. Bytes after the last record are zeros, or a record that was torn. Every
 * version begins a segment with a header of this form.
 */
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { UsageSchema } from "../../../gen/dragoman/v1/usage_pb.ts";
import type { LedgerIntent, LedgerSettlement } from "../../core/ledger-row.ts";
import { crc32c } from "./crc32c.ts";

/** First in every segment. */
export interface SegmentHeader {
  readonly version: number;
  readonly epoch: string;
  /** From 1. */
  readonly number: number;
  /** What the segment before it held when it was closed; undefined for the first. */
  readonly previous: { readonly bytes: number; readonly sha256: string } | undefined;
}

/** What an open stream had cost. */
export interface CheckpointRecord {
  readonly usageId: string;
  readonly inputTokens: number | undefined;
  readonly outputTokens: number;
  /** Milliseconds since 1970. */
  readonly at: number;
}

export type JournalRecord =
  | { readonly is: "header"; readonly header: SegmentHeader }
  | { readonly is: "intent"; readonly intent: LedgerIntent }
  | { readonly is: "checkpoint"; readonly checkpoint: CheckpointRecord }
  | { readonly is: "settlement"; readonly settlement: LedgerSettlement };

export const journalVersion = 1;
const headBytes = 9;
/** Above this a length is damage, not a record. */
const maxPayloadBytes = 1_048_576;
const types = { header: 1, intent: 2, checkpoint: 3, settlement: 4 } as const;
const namesOfTypes = [undefined, "header", "intent", "checkpoint", "settlement"] as const;

export function writeRecord(record: JournalRecord): Buffer {
  const text = JSON.stringify(plainOf(record));
  const length = Buffer.byteLength(text);
  const bytes = Buffer.allocUnsafe(headBytes + length);
  bytes.writeUInt32LE(length, 0);
  bytes[8] = types[record.is];
  bytes.write(text, headBytes);
  bytes.writeUInt32LE(crc32c(bytes, 8), 4);
  return bytes;
}

/** The record at a place and where it ends; undefined where no whole, undamaged record begins. */
export function readRecord(bytes: Buffer, at: number): { readonly record: JournalRecord; readonly end: number } | undefined {
  if (at + headBytes > bytes.length) return undefined;
  const length = bytes.readUInt32LE(at);
  const end = at + headBytes + length;
  if (length === 0 || length > maxPayloadBytes || end > bytes.length) return undefined;
  if (crc32c(bytes, at + 8, end) !== bytes.readUInt32LE(at + 4)) return undefined;
  const record = recordOf(bytes[at + 8] as number, bytes.toString("utf8", at + headBytes, end));
  return record === undefined ? undefined : { record, end };
}

const brace = "{".charCodeAt(0);

/** Where the next whole record begins, at a place or behind it. Text of a payload cannot look like one: JSON has no bytes below 32. */
export function findRecord(bytes: Buffer, from: number): number | undefined {
  for (let at = bytes.indexOf(brace, from + headBytes); at !== -1; at = bytes.indexOf(brace, at + 1)) {
    const start = at - headBytes;
    const isType = namesOfTypes[bytes[at - 1] as number] !== undefined;
    if (isType && readRecord(bytes, start) !== undefined) return start;
  }
  return undefined;
}

function plainOf(record: JournalRecord): object {
  switch (record.is) {
    case "header":
      return record.header;
    case "checkpoint":
      return record.checkpoint;
    case "intent":
      return { ...record.intent, reservedNano: String(record.intent.reservedNano) };
    case "settlement": {
      const { usage, costNano, chargeNano, ...rest } = record.settlement;
      return {
        ...rest,
        usage: usage === undefined ? undefined : Buffer.from(toBinary(UsageSchema, usage)).toString("base64"),
        costNano: costNano?.toString(),
        chargeNano: chargeNano?.toString(),
      };
    }
  }
}

/** Undefined for a type of a later version. What has a right CRC was written by us. */
function recordOf(type: number, text: string): JournalRecord | undefined {
  const value = JSON.parse(text);
  switch (namesOfTypes[type]) {
    case "header":
      return { is: "header", header: value };
    case "checkpoint":
      return { is: "checkpoint", checkpoint: value };
    case "intent":
      return { is: "intent", intent: { ...value, reservedNano: BigInt(value.reservedNano) } };
    case "settlement":
      return {
        is: "settlement",
        settlement: {
          ...value,
          usage: value.usage === undefined ? undefined : fromBinary(UsageSchema, Buffer.from(value.usage, "base64")),
          costNano: value.costNano === undefined ? undefined : BigInt(value.costNano),
          chargeNano: value.chargeNano === undefined ? undefined : BigInt(value.chargeNano),
        },
      };
    default:
      return undefined;
  }
}
