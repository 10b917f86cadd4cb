import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  JsonError,
  type JsonObject,
  jsonText,
  mergeExtras,
  parseJson,
  RawJson,
  type WritableObject,
  writeJson,
} from "../../src/core/json.ts";

function failure(text: string): string {
  try {
    parseJson(text);
  } catch (thrown) {
    if (thrown instanceof JsonError) return thrown.message;
    throw thrown;
  }
  return "accepted";
}

describe("parseJson", () => {
  test("reads what JSON.parse reads", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = JSON.stringify(value);
        expect(JSON.parse(jsonText(parseJson(text)))).toEqual(JSON.parse(text));
      }),
    );
  });

  test("refuses what JSON.parse refuses", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 12, unit: fc.constantFrom(...'{}[]",:0123456789.eE+-truefalsn\\u \n') }), (text) => {
        let accepted = true;
        try {
          JSON.parse(text);
        } catch {
          accepted = false;
        }
        const mine = failure(text);
        // Duplicate keys are the one thing that is refused beyond the standard.
        expect(mine === "accepted" || mine.includes("occurs twice")).toBe(accepted);
      }),
      { numRuns: 2_000 },
    );
  });

  test.each([
    ["", "the JSON text ends too early (line 1, column 1)"],
    ['{"a": 1,\n "a": 2}', 'the key "a" occurs twice (line 2, column 2)'],
    ["[1, 2", "a comma or ] is expected (line 1, column 6)"],
    ['{"a" 1}', "a colon is expected after a key (line 1, column 6)"],
    ['["abc', "a string does not end (line 1, column 2)"],
    ["[1] [2]", "there is more after the end of the JSON value (line 1, column 5)"],
    [`${"[".repeat(65)}${"]".repeat(65)}`, "nested deeper than 64 (line 1, column 65)"],
    ["[".repeat(200_000), "nested deeper than 64 (line 1, column 65)"],
  ])("says where %s is wrong", (text, message) => {
    expect(failure(text)).toBe(message);
  });

  test("a million values are too many", () => {
    expect(failure(`[${"1,".repeat(1_000_000)}1]`)).toContain("more than 200000 values");
  });

  test("keeps integers beyond 2^53 and the order of integer-like keys", () => {
    const text = '{"schema":{"9":1,"1":{"maximum":9007199254740993}},"small":1}';
    const parsed = parseJson(text) as JsonObject;
    expect(jsonText(parsed.schema as JsonObject)).toBe('{"9":1,"1":{"maximum":9007199254740993}}');
    expect(writeJson({ wrapped: parsed.schema, other: parsed.small } as WritableObject)).toBe(
      '{"wrapped":{"9":1,"1":{"maximum":9007199254740993}},"other":1}',
    );
  });

  test("__proto__ is a key like any other", () => {
    const parsed = parseJson('{"__proto__":{"polluted":true}}') as JsonObject;
    expect(Object.keys(parsed)).toEqual(["__proto__"]);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
    expect(jsonText(parsed)).toBe('{"__proto__":{"polluted":true}}');
  });

  test("lone surrogates come out as they went in", () => {
    expect(jsonText(parseJson('"\\ud800"'))).toBe('"\\ud800"');
  });
});

describe("mergeExtras", () => {
  test("adds what is missing at any depth, and a modelled field wins", () => {
    const target: WritableObject = { model: "a", reasoning: { effort: "low" }, tools: new RawJson("[1]") };
    mergeExtras(target, '{"model":"b","reasoning":{"effort":"high","summary":"auto"},"tools":[2],"big":12345678901234567890}');
    expect(writeJson(target)).toBe('{"model":"a","reasoning":{"effort":"low","summary":"auto"},"tools":[1],"big":12345678901234567890}');
  });
});
