/** The short form of `npm run endurance -- aborts`. */
import { expect, test } from "vitest";
import { runAborts } from "../endurance/aborts.ts";
import { type Place, places } from "../endurance/gateway-places.ts";

test.each<Place>(places)("%s: no slot is held when 300 callers have left", { timeout: 120_000 }, async (place) => {
  const tally = await runAborts(place, 300, 16);
  if (tally === undefined) return console.log(`skipped: ${place}, there is no redis-server`);
  expect(tally).toMatchObject({ held: 0, refused: 0 });
  expect(tally.midway).toBeGreaterThanOrEqual(150);
  expect(tally.peak).toBeGreaterThan(0);
});
