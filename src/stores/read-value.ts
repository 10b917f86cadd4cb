/** Values of a row as records have them. A value of another kind than the schema says is a fault of the database. */
import type { Row } from "./database.ts";

export function readText(row: Row, column: string): string {
  const value = row[column];
  if (typeof value === "string") return value;
  throw unexpected(column, value);
}

export function readOptionalText(row: Row, column: string): string | undefined {
  return row[column] === null ? undefined : readText(row, column);
}

/** SQLite gives bigint; PostgreSQL number, or text for 64 bits and for sums. */
export function readNumber(row: Row, column: string): number {
  const value = row[column];
  const number = typeof value === "string" || typeof value === "bigint" ? Number(value) : value;
  if (typeof number === "number" && Number.isFinite(number)) return number;
  throw unexpected(column, value);
}

export function readOptionalNumber(row: Row, column: string): number | undefined {
  return row[column] === null ? undefined : readNumber(row, column);
}

export function readBigInt(row: Row, column: string): bigint {
  const value = row[column];
  if (typeof value === "bigint") return value;
  if (typeof value === "string" || (typeof value === "number" && Number.isSafeInteger(value))) return BigInt(value);
  throw unexpected(column, value);
}

export function readOptionalBigInt(row: Row, column: string): bigint | undefined {
  return row[column] === null ? undefined : readBigInt(row, column);
}

export function readBoolean(row: Row, column: string): boolean {
  return readNumber(row, column) !== 0;
}

/** A sum over no rows is null. */
export function readSum(row: Row, column: string): bigint {
  return row[column] === null ? 0n : readBigInt(row, column);
}

export function readBytes(row: Row, column: string): Uint8Array {
  const value = row[column];
  if (value instanceof Uint8Array) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  throw unexpected(column, value);
}

/** JSON text that a store wrote itself, of a list of texts. */
export function readTexts<Text extends string>(row: Row, column: string): readonly Text[] {
  return JSON.parse(readText(row, column)) as readonly Text[];
}

function unexpected(column: string, value: unknown): Error {
  return new Error(`the database holds a ${value === null ? "null" : typeof value} in "${column}", where there is none`);
}
