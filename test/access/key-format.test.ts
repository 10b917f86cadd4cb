import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { makeKeyParts, readKey, visiblePrefix, writeKey } from "../../src/access/key-format.ts";

const parts = makeKeyParts("live");
const key = writeKey(parts);

describe("keys of our own", () => {
  test("have the form that scanners look for", () => {
    expect(key).toMatch(/^dgm_live_[0-9a-z]{12}_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}$/);
    expect(readKey(key)).toEqual(parts);
    expect(key.startsWith(visiblePrefix(parts))).toBe(true);
    expect(visiblePrefix(parts)).not.toContain(parts.secret.slice(0, 4));
  });

  test("are never the same twice", () => {
    const many = Array.from({ length: 500 }, () => makeKeyParts("live"));
    expect(new Set(many.map(({ id }) => id)).size).toBe(500);
    expect(new Set(many.map(({ secret }) => secret)).size).toBe(500);
  });

  test("use the whole alphabet", () => {
    const used = new Set(Array.from({ length: 400 }, () => makeKeyParts("live").secret).join(""));
    expect(used.size).toBe(62);
  });

  test("one wrong character anywhere is seen without a look-up", () => {
    fc.assert(
      fc.property(fc.nat(key.length - 1), fc.constantFrom(..."abcXYZ019_-"), (at, letter) => {
        const changed = key.slice(0, at) + letter + key.slice(at + 1);
        expect(readKey(changed) === undefined).toBe(changed !== key);
      }),
    );
  });

  test.each([
    "",
    "dgm_",
    key.slice(0, -1),
    `${key}0`,
    ` ${key}`,
    `${key}\n`,
    key.toUpperCase(),
    key.replace("live", "LIVE"),
    "dgm_live___",
  ])("%j is none", (text) => expect(readKey(text)).toBeUndefined());
});
