/** Text of any shape and length goes into the log: cleaning it must cost no more than its length. */
import { expect, test } from "vitest";
import { redact } from "../../src/core/redact.ts";
import { createRedactor } from "../../src/redaction/redactor.ts";
import { safeText, withoutQueries } from "../../src/telemetry/describe-error.ts";

const units = ["a", "1", "-", "_", ".", "@", "+", " ", "sk-", "Bearer ", "api_key=", "?key=", "eyJ", "-----BEGIN ", "http://", "a.", "a@"];
const { redact: redactAll } = createRedactor({ secrets: ["aaaaaaaaaaaa"] });

/** Milliseconds of the slowest text of a length, the best of three tries each: others use the machine too. */
function slowest(clean: (text: string) => unknown, length: number): number {
  let most = 0;
  for (const unit of units) {
    for (const next of ["", ...units]) {
      const text = `${(unit + next).repeat(Math.ceil(length / (unit + next).length)).slice(0, length)}!`;
      let least = Number.POSITIVE_INFINITY;
      for (let turn = 0; turn < 3 && least > 2; turn++) {
        const begin = performance.now();
        clean(text);
        least = Math.min(least, performance.now() - begin);
      }
      most = Math.max(most, least);
    }
  }
  return most;
}

// What is quadratic takes several seconds for this length, what is linear a few milliseconds: no measure of speed.
test.each<[string, (text: string) => unknown]>([
  ["the log", withoutQueries],
  ["errors", (text) => redact(text, { strict: true })],
  ["records", (text) => redactAll(text)],
])(
  "no text is catastrophic for what cleans %s",
  (_, clean) => {
    expect(slowest(clean, 80_000)).toBeLessThan(1_500);
  },
  60_000,
);

test("addresses lose their credentials wherever they begin, and names of megabytes are cut before they are searched", () => {
  expect(withoutQueries("failed.at.https://user:secret@host/path?key=secret")).toBe("failed.at.https://host/path");
  expect(safeText("a.".repeat(5_000_000)).length).toBeLessThan(2_000);
});
