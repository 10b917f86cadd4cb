import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { ReasoningEffort, ReasoningMode, ReasoningSchema } from "../../gen/dragoman/v1/generate_pb.ts";
import { budgetOfEffort, effortLevel, effortLevels, effortOfBudget, isReasoningOff, nearestEffort } from "../../src/core/effort.ts";

describe("effort", () => {
  test("a level's own budget means that level again", () => {
    for (const level of effortLevels) expect(effortOfBudget(budgetOfEffort[level])).toBe(level);
  });

  test.each([
    [1, "minimal"],
    [1025, "low"],
    [10_000, "high"],
    [1_000_000, "max"],
  ] as const)("a budget of %i is %s", (tokens, level) => {
    expect(effortOfBudget(tokens)).toBe(level);
  });

  test("a budget of 0, the effort NONE and the mode disabled all mean not to think", () => {
    const off = [{ budgetTokens: 0 }, { effort: ReasoningEffort.NONE }, { mode: ReasoningMode.DISABLED }];
    const on = [{}, { budgetTokens: 1 }, { effort: ReasoningEffort.MINIMAL }, { mode: ReasoningMode.ADAPTIVE }];
    expect(off.map((reasoning) => isReasoningOff(create(ReasoningSchema, reasoning)))).toEqual([true, true, true]);
    expect(on.map((reasoning) => isReasoningOff(create(ReasoningSchema, reasoning)))).toEqual([false, false, false, false]);
  });

  test("takes the nearest that is offered, the lesser of two", () => {
    expect(nearestEffort("minimal", ["low", "medium", "high"])).toBe("low");
    expect(nearestEffort("xhigh", ["low", "medium", "high", "max"])).toBe("high");
    expect(nearestEffort("max", ["low", "high"])).toBe("high");
    expect(nearestEffort("medium", ["low", "medium"])).toBe("medium");
  });

  test("NONE and an unstated effort have no level", () => {
    expect(effortLevel(ReasoningEffort.NONE)).toBeUndefined();
    expect(effortLevel(ReasoningEffort.UNSPECIFIED)).toBeUndefined();
    expect(effortLevel(ReasoningEffort.XHIGH)).toBe("xhigh");
  });
});
