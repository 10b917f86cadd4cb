import { describe, expect, test } from "vitest";
import { groupExchanges, matchResults } from "../../src/core/exchanges.ts";
import { TranslationReport } from "../../src/core/translation.ts";

describe("exchanges", () => {
  const group = (speakers: string) =>
    groupExchanges([...speakers], (speaker) => speaker === "a").map(({ asked, answered }) => `${asked.join("")}>${answered.join("")}`);

  test.each([
    ["", []],
    ["u", [">u"]],
    ["a", ["a>"]],
    ["uaau", [">u", "aa>u"]],
    ["auua", ["a>uu", "a>"]],
  ])("of %j are %j", (speakers, exchanges) => {
    expect(group(speakers)).toEqual(exchanges);
  });
});

describe("results", () => {
  const calls = (...ids: string[]) => ids.map((callId, index) => ({ callId, path: `calls[${index}]` }));
  const answers = (...ids: string[]) => ids.map((resultId, index) => ({ resultId, path: `results[${index}]` }));
  const refusedOf = (report: TranslationReport) => {
    try {
      report.settle(false);
      return [];
    } catch (error) {
      return (error as { details: { fields: { field: string }[] } }).details.fields.map(({ field }) => field);
    }
  };

  test("stand in the order of their calls", () => {
    const report = new TranslationReport("x");
    expect(matchResults(calls("a", "b"), answers("b", "a"), report).map(({ path }) => path)).toEqual(["results[1]", "results[0]"]);
    expect(refusedOf(report)).toEqual([]);
  });

  test.each([
    ["a call without a result", calls("a", "b"), answers("a"), ["calls[1]"]],
    ["a result without a call", calls("a"), answers("a", "c"), ["results[1]"]],
    ["a second result", calls("a"), answers("a", "a"), ["results[1]"]],
    ["an id that is used twice", calls("a", "a"), answers("a"), ["calls[1]"]],
  ])("%s is refused where it stands", (_name, called, answered, paths) => {
    const report = new TranslationReport("x");
    matchResults(called, answered, report);
    expect(refusedOf(report)).toEqual(paths);
  });
});
