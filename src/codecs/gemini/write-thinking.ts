/**
 * How much to think: models from 3 on take a level, those of 2.5 a budget, never both (contract.md 3.4).
 * https://ai.google.dev/gemini-api/docs/thinking
 */
import { type Reasoning, ReasoningDisplay, ReasoningMode } from "../../../gen/dragoman/v1/generate_pb.ts";
import { budgetOfEffort, type EffortLevel, effortLevel, effortOfBudget, isReasoningOff, nearestEffort } from "../../core/effort.ts";
import type { WritableObject } from "../../core/json.ts";
import type { WriteContext } from "./write-context.ts";

/** `thinkingLevel` MINIMAL to HIGH. */
const vendorEfforts: readonly EffortLevel[] = ["minimal", "low", "medium", "high"];

/** The largest budget that every model of 2.5 takes, and the least of those that cannot stop thinking. */
const commonBudget = { min: 128, max: 24_576 };

const automaticBudget = -1;

/** `thinkingConfig`; undefined where nothing was asked for. */
export function writeThinking(reasoning: Reasoning | undefined, context: WriteContext): WritableObject | undefined {
  if (reasoning === undefined) return undefined;
  const { report, target } = context;
  if (reasoning.context !== "") report.dropped("reasoning.context", "the model sees what is sent");
  const kind = target.traits.reasoning ?? "effort";
  if (kind === "none") {
    reportNone(reasoning, context);
    return undefined;
  }
  const takesBudget = kind === "budget" || (kind === "both" && (reasoning.budgetTokens !== undefined || isReasoningOff(reasoning)));
  const config = takesBudget ? writeBudget(reasoning, context) : writeLevel(reasoning, context);
  // Thoughts of a model that does not think are a 400.
  if (config.thinkingBudget !== 0) writeDisplay(reasoning, config, context);
  return Object.keys(config).length === 0 ? undefined : config;
}

function writeLevel(reasoning: Reasoning, { report, target }: WriteContext): WritableObject {
  const offered = target.traits.efforts ?? vendorEfforts;
  if (isReasoningOff(reasoning)) {
    const least = nearestEffort("minimal", offered);
    report.coerced(
      reasoning.mode === ReasoningMode.DISABLED ? "reasoning.mode" : "reasoning.effort",
      `${least}, as the model always thinks`,
    );
    return { thinkingLevel: least.toUpperCase() };
  }
  reportBetweenTools(reasoning, report);
  const asked = effortLevel(reasoning.effort);
  if (asked === undefined) {
    if (reasoning.budgetTokens === undefined) return {};
    const level = nearestEffort(effortOfBudget(reasoning.budgetTokens), offered);
    report.coerced("reasoning.budget_tokens", `the effort ${level}, as the model takes no budget`);
    return { thinkingLevel: level.toUpperCase() };
  }
  if (reasoning.budgetTokens !== undefined) report.dropped("reasoning.budget_tokens", "the model takes an effort, which was given too");
  const level = nearestEffort(asked, offered);
  if (level !== asked) report.coerced("reasoning.effort", level);
  return { thinkingLevel: level.toUpperCase() };
}

function writeBudget(reasoning: Reasoning, { report, target }: WriteContext): WritableObject {
  const range = target.traits.reasoningBudget;
  if (isReasoningOff(reasoning)) {
    if (target.traits.alwaysReasons !== true) return { thinkingBudget: 0 };
    const least = range?.min ?? commonBudget.min;
    report.coerced("reasoning.mode", `a budget of ${least} tokens, as the model always thinks`);
    return { thinkingBudget: least };
  }
  reportBetweenTools(reasoning, report);
  const asked = effortLevel(reasoning.effort);
  if (reasoning.budgetTokens !== undefined) {
    if (asked !== undefined) report.dropped("reasoning.effort", "the model takes a budget, which was given too");
    const budget = clamp(reasoning.budgetTokens, range ?? { min: 0, max: Number.MAX_SAFE_INTEGER });
    if (budget !== reasoning.budgetTokens) report.coerced("reasoning.budget_tokens", String(budget));
    return { thinkingBudget: budget };
  }
  if (asked !== undefined) {
    const budget = clamp(budgetOfEffort[asked], range ?? commonBudget);
    report.coerced("reasoning.effort", `a budget of ${budget} tokens`);
    return { thinkingBudget: budget };
  }
  return reasoning.mode === ReasoningMode.ADAPTIVE ? { thinkingBudget: automaticBudget } : {};
}

function clamp(budget: number, { min, max }: { readonly min: number; readonly max: number }): number {
  return Math.min(Math.max(budget, min), max);
}

function reportBetweenTools({ mode }: Reasoning, report: WriteContext["report"]): void {
  if (mode === ReasoningMode.BETWEEN_TOOLS) report.coerced("reasoning.mode", "thinking throughout");
}

function writeDisplay({ display }: Reasoning, config: WritableObject, { report }: WriteContext): void {
  if (display === ReasoningDisplay.UNSPECIFIED) return;
  config.includeThoughts = display !== ReasoningDisplay.OMITTED;
  if (display === ReasoningDisplay.CONCISE || display === ReasoningDisplay.DETAILED) {
    report.coerced("reasoning.display", "thoughts as the model sums them up");
  }
}

function reportNone(reasoning: Reasoning, { report }: WriteContext): void {
  if (isReasoningOff(reasoning)) return;
  const detail = "the model does not think";
  if (effortLevel(reasoning.effort) !== undefined) report.dropped("reasoning.effort", detail);
  if (reasoning.budgetTokens !== undefined) report.dropped("reasoning.budget_tokens", detail);
  if (reasoning.mode !== ReasoningMode.UNSPECIFIED) report.dropped("reasoning.mode", detail);
  const { display } = reasoning;
  if (display !== ReasoningDisplay.UNSPECIFIED && display !== ReasoningDisplay.OMITTED) report.dropped("reasoning.display", detail);
}
