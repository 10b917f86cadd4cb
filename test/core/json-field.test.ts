import { describe, expect, test } from "vitest";
import { RawJson, tryParseJson, upstreamJsonLimits } from "../../src/core/json.ts";
import { rawJsonObject, readJsonObject } from "../../src/core/json-field.ts";

/** JSON text of an object that is nested so many levels deep. */
function nested(levels: number): string {
  return `${'{"a":'.repeat(levels)}1${"}".repeat(levels)}`;
}

describe("JSON text in a field", () => {
  test.each(["", "[]", "1", '{"a":1,"a":2}', "{", nested(65)])("%j is refused at the field's path", (text) => {
    const refused = expect.objectContaining({
      details: { fields: [expect.objectContaining({ field: "tools[0].function.parameters_json" })] },
    });
    expect(() => readJsonObject(text, "tools[0].function.parameters_json")).toThrow(refused);
  });

  test("stays as it was written, however deep", () => {
    const text = `{ "b": ${nested(100)}, "1": 12345678901234567890 }`;
    expect(rawJsonObject(text, "p")).toEqual(new RawJson(text));
    expect(() => rawJsonObject('"x"', "p")).toThrow("must be JSON text of one object");
  });
});

test("text that is no JSON has no value", () => {
  expect(tryParseJson("nothing")).toBeUndefined();
  expect(tryParseJson(nested(65))).toBeUndefined();
  expect(tryParseJson(nested(65), upstreamJsonLimits)).toBeDefined();
  expect(tryParseJson("null")).toBeNull();
});
