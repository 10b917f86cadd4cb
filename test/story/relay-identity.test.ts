import { expect, test } from "vitest";
import { runRelayIdentity } from "./relay-identity-run.ts";

test("X19: random bodies come through byte by byte, big integers included", async () => {
  const { compared, bytes, changed } = await runRelayIdentity({ seed: 19, count: 400 });
  expect(changed).toEqual([]);
  expect(Object.values(compared)).toEqual(Array.from({ length: 8 }, () => 50));
  expect(bytes).toBeGreaterThan(100_000);
}, 60_000);
