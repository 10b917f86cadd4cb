/** Sizes of pages in queries. */
import { invalidField } from "../core/error.ts";

/** `standard` where the query does not say. Throws invalid_request for what is no whole number from 1 to `max`. */
export function readPageSize(query: URLSearchParams, name: string, { standard, max }: { standard: number; max: number }): number {
  const text = query.get(name);
  if (text === null) return standard;
  const size = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (size < 1 || size > max) throw invalidField(name, `must be a whole number from 1 to ${max}`);
  return size;
}
