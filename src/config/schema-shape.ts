/** The schema seen as a tree of keys, for suggestions and for finding fields that need care before they are checked. */
import { z } from "zod";
import type { Path } from "./tree.ts";

/** The schema without defaults, optionality and what happens after reading. */
export function bareSchema(schema: z.ZodType): z.ZodType {
  let bare = schema;
  while (true) {
    if (bare instanceof z.ZodOptional || bare instanceof z.ZodDefault || bare instanceof z.ZodPrefault) bare = bare.unwrap() as z.ZodType;
    else if (bare instanceof z.ZodPipe && bare.in instanceof z.ZodObject) bare = bare.in;
    else return bare;
  }
}

export function childSchema(schema: z.ZodType | undefined, key: string | number): z.ZodType | undefined {
  if (schema === undefined) return undefined;
  const bare = bareSchema(schema);
  let child: unknown;
  if (bare instanceof z.ZodObject) child = Object.hasOwn(bare.shape, key) ? bare.shape[key] : undefined;
  else if (bare instanceof z.ZodRecord) child = bare.valueType;
  else if (bare instanceof z.ZodArray) child = bare.element;
  return child instanceof z.ZodType ? bareSchema(child) : undefined;
}

export function schemaAt(schema: z.ZodType, path: Path): z.ZodType | undefined {
  return path.reduce<z.ZodType | undefined>(childSchema, bareSchema(schema));
}

/** Keys of a struct; none for anything else. */
export function keysOf(schema: z.ZodType | undefined): string[] {
  const bare = schema === undefined ? undefined : bareSchema(schema);
  return bare instanceof z.ZodObject ? Object.keys(bare.shape) : [];
}

/** Top-level keys that hold a map of names. */
export function namedMapsOf(schema: z.ZodType): Set<string> {
  return new Set(keysOf(schema).filter((key) => schemaAt(schema, [key]) instanceof z.ZodRecord));
}

/** Paths of every field that stands at a fixed place, as `server.listen`. */
export function fixedPathsOf(schema: z.ZodType, prefix: readonly string[] = []): (readonly string[])[] {
  return keysOf(schema).flatMap((key) => {
    const path = [...prefix, key];
    const child = childSchema(schema, key);
    return child === undefined ? [path] : [path, ...fixedPathsOf(child, path)];
  });
}
