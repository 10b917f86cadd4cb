import { expect, test } from "vitest";
import { Fields } from "../../src/core/fields.ts";

test("peek does not count as read, and null is absent", () => {
  const fields = new Fields({ a: 1, b: null });
  expect([fields.peek("a"), fields.peek("b"), fields.peek("toString")]).toEqual([1, undefined, undefined]);
  expect(fields.rest()).toBe('{"a":1,"b":null}');
});

test("a known word is read, an unknown one stays for extras, another type is refused", () => {
  const fields = new Fields({ a: "low", b: "warp", c: 3, d: "constructor" });
  const table = { low: 1 };
  expect([fields.knownWord("a", table), fields.knownWord("b", table), fields.knownWord("d", table), fields.knownWord("e", table)]).toEqual([
    1,
    undefined,
    undefined,
    undefined,
  ]);
  expect(() => fields.knownWord("c", table)).toThrow(/c: must be a string/);
  expect(fields.rest()).toBe('{"b":"warp","d":"constructor"}');
});
