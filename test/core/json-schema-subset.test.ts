import fc from "fast-check";
import { expect, test } from "vitest";
import type { JsonValue } from "../../src/core/json.ts";
import { adaptSchema } from "../../src/core/json-schema-subset.ts";

test("adapting once is enough, and leaves the original alone", () => {
  fc.assert(
    fc.property(
      fc.jsonValue(),
      fc.dictionary(fc.constantFrom("minimum", "type", "items", "properties", "oneOf", "format"), fc.jsonValue()),
      (value, more) => {
        const schema = { ...more, properties: { a: value, b: more } } as unknown as JsonValue;
        const before = JSON.stringify(schema);
        const once = adaptSchema(schema);
        expect(adaptSchema(once.schema)).toEqual({ schema: once.schema, changed: [] });
        expect(JSON.stringify(schema)).toBe(before);
      },
    ),
  );
});
