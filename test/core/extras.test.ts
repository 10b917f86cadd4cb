import { describe, expect, test } from "vitest";
import { GatewayError } from "../../src/core/error.ts";
import { reportForeignExtras, writeExtras } from "../../src/core/extras.ts";
import type { WritableObject } from "../../src/core/json.ts";
import { TranslationReport } from "../../src/core/translation.ts";

describe("reportForeignExtras", () => {
  test("names each unknown field of other formats, without its content", () => {
    const report = new TranslationReport("gemini");
    reportForeignExtras({ "openai-chat": '{"prediction":{"content":"secret"},"a":1}', gemini: '{"b":1}' }, "gemini", "", report);
    expect(report.notes.map(({ path }) => path)).toEqual(["prediction", "a"]);
    expect(report.notes.some(({ detail }) => detail.includes("secret"))).toBe(false);
  });

  test("says where the fields stand, and ignores nulls", () => {
    const report = new TranslationReport("gemini");
    reportForeignExtras({ "openai-chat": '{"audio":null,"x":false}' }, "gemini", "messages[2]", report);
    expect(report.notes.map(({ path }) => path)).toEqual(["messages[2].x"]);
  });

  test.each(["[1]", "{", "3"])("refuses %s, which is no object", (text) => {
    const report = new TranslationReport("gemini");
    const act = () => reportForeignExtras({ xai: text }, "gemini", "tools[0]", report);
    expect(act).toThrow(GatewayError);
    expect(act).toThrow("tools[0].extras_json.xai");
  });
});

describe("writeExtras", () => {
  test("puts the format's own fields under the modelled ones and reports the others", () => {
    const report = new TranslationReport("gemini");
    const target: WritableObject = { mine: 1, both: { a: 1 } };
    writeExtras(target, { gemini: '{"mine":2,"both":{"b":2},"theirs":3}', xai: '{"x":1}' }, "gemini", "", report);
    expect(target).toEqual({ mine: 1, both: { a: 1, b: 2 }, theirs: 3 });
    expect(report.notes.map(({ path }) => path)).toEqual(["x"]);
  });
});
