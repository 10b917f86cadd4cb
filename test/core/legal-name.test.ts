import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { legalName, type NameRule, shortName } from "../../src/core/legal-name.ts";

const rule: NameRule = { legal: /^[a-z_]+$/, illegal: /[^a-z_]/gu, maxLength: 16 };

describe("a legal name", () => {
  test.each([
    ["get_weather", "get_weather"],
    ["abcdefghijklmnop", "abcdefghijklmnop"],
    // The first eight digits of the name's SHA-256 follow.
    ["get.it", "get_it_6ed80c13"],
    ["👋", "__1d0452e3"],
    ["abcdefghijklmnopqrstuvwxyz", "abcdefg_71c480df"],
  ])("of %j is %j", (name, legal) => {
    expect(legalName(name, rule)).toBe(legal);
  });

  test("is as long as the rule allows, and apart from others", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string({ unit: "binary", maxLength: 40 }), { maxLength: 8 }), (names) => {
        const legal = names.map((name) => legalName(name, rule));
        for (const name of legal) expect(name).toMatch(/^[a-z_][a-z_0-9]{0,15}$/);
        expect(new Set(legal).size).toBe(names.length);
      }),
    );
  });
});

test("a short name differs only where it was too long", () => {
  expect(shortName("call.1", 16)).toBe("call.1");
  expect(shortName("abcdefghijklmnopqrstuvwxyz", 16)).toBe("abcdefg_71c480df");
});
