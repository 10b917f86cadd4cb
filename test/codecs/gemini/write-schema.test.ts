import { describe, expect, test } from "vitest";
import { writeOpenApiSchema } from "../../../src/codecs/gemini/write-schema.ts";
import { GatewayError } from "../../../src/core/error.ts";
import { type JsonObject, parseJson, writeJson } from "../../../src/core/json.ts";
import { TranslationReport } from "../../../src/core/translation.ts";

function convert(schema: object): { written: unknown; notes: number; refused: string | undefined } {
  const report = new TranslationReport("gemini");
  const parsed = parseJson(JSON.stringify(schema)) as JsonObject;
  const before = JSON.stringify(parsed);
  const written = JSON.parse(writeJson(writeOpenApiSchema(parsed, "p", report))) as unknown;
  expect(JSON.stringify(parsed)).toBe(before);
  let refused: string | undefined;
  try {
    report.settle(false);
  } catch (error) {
    if (error instanceof GatewayError) refused = error.details.fields?.[0]?.description;
  }
  return { written, notes: report.notes.length, refused };
}

describe("a schema in the subset of OpenAPI", () => {
  test("that needs no change has no note", () => {
    const schema = {
      type: "object",
      description: "d",
      properties: { a: { type: "string", enum: ["x"], format: "date-time" }, b: { type: "array", items: { type: "integer", minimum: 1 } } },
      required: ["a"],
    };
    expect(convert(schema)).toEqual({
      written: {
        type: "OBJECT",
        description: "d",
        required: ["a"],
        properties: {
          a: { type: "STRING", enum: ["x"], format: "date-time" },
          b: { type: "ARRAY", items: { type: "INTEGER", minimum: 1 } },
        },
      },
      notes: 0,
      refused: undefined,
    });
  });

  test.each<[string, object, object]>([
    ["const", { const: "x" }, { type: "STRING", enum: ["x"] }],
    ["a list of types", { type: ["string", "null"] }, { type: "STRING", nullable: true }],
    ["more types", { type: ["string", "integer"] }, { anyOf: [{ type: "STRING" }, { type: "INTEGER" }] }],
    ["null among alternatives", { anyOf: [{ type: "string" }, { type: "null" }] }, { nullable: true, type: "STRING" }],
    ["oneOf", { oneOf: [{ type: "string" }, { type: "number" }] }, { anyOf: [{ type: "STRING" }, { type: "NUMBER" }] }],
    ["numbers to choose from", { type: "integer", enum: [1, 2] }, { type: "INTEGER", description: "enum: [1,2]" }],
    ["a foreign format", { type: "string", format: "uri", description: "d" }, { type: "STRING", description: 'd\nformat: "uri"' }],
    ["limits", { type: "number", exclusiveMinimum: 0 }, { type: "NUMBER", description: "exclusiveMinimum: 0" }],
    ["words about the document", { $schema: "s", $id: "i", type: "string" }, { type: "STRING" }],
    ["an array of anything", { type: "array" }, { type: "ARRAY", items: {} }],
    ["a tuple", { type: "array", prefixItems: [{ type: "string" }] }, { type: "ARRAY", items: { anyOf: [{ type: "STRING" }] } }],
    [
      "allOf",
      {
        allOf: [
          { properties: { a: {} }, required: ["a"] },
          { properties: { b: {} }, required: ["b"] },
        ],
      },
      { required: ["a", "b"], type: "OBJECT", properties: { b: {}, a: {} } },
    ],
    [
      "references",
      { properties: { a: { $ref: "#/$defs/x%7E1y", description: "mine" } }, $defs: { "x/y": { type: "string", description: "its" } } },
      { type: "OBJECT", properties: { a: { type: "STRING", description: "mine" } } },
    ],
  ])("%s", (_, schema, written) => {
    expect(convert(schema)).toEqual({ written, notes: 1, refused: undefined });
  });

  test("all changes of one schema are one note", () => {
    expect(convert({ properties: { a: { const: "x" }, b: { not: {} }, c: { type: ["null", "string"] } } }).notes).toBe(1);
  });

  test("one definition may be used twice, but not within itself", () => {
    const twice = { properties: { a: { $ref: "#/$defs/x" }, b: { $ref: "#/$defs/x" } }, $defs: { x: { type: "string" } } };
    expect(convert(twice).refused).toBeUndefined();
    const tree = { $ref: "#/$defs/node", $defs: { node: { properties: { next: { $ref: "#/$defs/node" } } } } };
    expect(convert(tree).refused).toMatch(/refers to itself/);
    expect(convert({ properties: { a: { $ref: "#" } } }).refused).toMatch(/refers to itself/);
    expect(convert({ allOf: [{ $ref: "#/$defs/a" }], $defs: { a: { items: { $ref: "#/$defs/a" } } } }).refused).toMatch(/refers to itself/);
    expect(convert({ $ref: "https://example.com/schema" }).refused).toMatch(/does not hold/);
  });

  test("a small schema that grows without end is refused", () => {
    const $defs: Record<string, object> = { d0: { type: "string" } };
    for (let level = 1; level < 40; level++) {
      $defs[`d${level}`] = { properties: { a: { $ref: `#/$defs/d${level - 1}` }, b: { $ref: `#/$defs/d${level - 1}` } } };
    }
    expect(convert({ $ref: "#/$defs/d39", $defs }).refused).toMatch(/too large/);
  });
});
