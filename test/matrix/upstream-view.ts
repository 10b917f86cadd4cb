/**
 * What an upstream was told, read from the request that the simulator recorded, in no vendor's words. Written apart from
 * the codecs: it must find what they lose.
 */
import type { Received } from "./scene.ts";

export type Json = { readonly [key: string]: unknown };

/** Absent where there is nothing, so that what was not said and what was said empty are the same. */
export function some<Item>(items: readonly Item[]): readonly Item[] | undefined {
  return items.length === 0 ? undefined : items;
}

/** Leaves out what is undefined. */
export function view(fields: { readonly [Key in keyof Received]?: Received[Key] | undefined }): Received {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Received;
}

export function list(value: unknown): readonly Json[] {
  return Array.isArray(value) ? (value as Json[]) : [];
}

export function object(value: unknown): Json {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : {};
}

export function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

export function number(value: unknown): number | undefined {
  return typeof value === "number" ? value : undefined;
}

/** A script is known by its beginning. */
export function short(words: string): string {
  return words.trimStart().startsWith('{"sim_script"') ? "(script)" : words;
}

/** `image data image/png 120` of a data URL, `image url <url>` of another. */
export function mediaOfUrl(kind: string, url: string): string {
  const data = /^data:([^;,]*);base64,(.*)$/s.exec(url);
  return data === null ? `${kind} url ${url}` : mediaOfData(kind, data[1] ?? "", data[2] ?? "");
}

export function mediaOfData(kind: string, mimeType: string, base64: string): string {
  return `${kind} data ${mimeType} ${Buffer.from(base64, "base64").length}`;
}

/** Text as the JSON it is, else the text. */
export function parsed(value: unknown): unknown {
  if (typeof value !== "string") return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}
